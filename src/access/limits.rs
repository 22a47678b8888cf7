//! How much one client may write: requests and bytes in a second, and uploads at the same time.  Pure.
//!
//! A client is an address; of IPv6 the /64 that it lies in, since that is what one customer has. Rates are kept by the
//! generic cell rate algorithm: all that is remembered of a rate is the time when what was used so far is worn off.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Clients that are remembered at most: some megabytes. When there are more, those beyond share one account.
const CLIENTS_MAX: usize = 1 << 16;
/// How often clients that need not be remembered are looked for, at most, when there are that many.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// What may be used at once, in seconds of a rate.
const BURST: Duration = Duration::from_secs(1);
/// Nobody is made to wait longer than this, however much it was.
const DEBT_MAX: Duration = Duration::from_secs(60 * 60);

/// The limits; none: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests that write, in a second.
    pub requests_per_second: Option<NonZeroU32>,
    /// Bytes of uploads, in a second.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Uploads at the same time.
    pub uploads: Option<NonZeroU32>,
}

/// What the clients of one process have used of their limits.
#[derive(Debug)]
pub struct Limits {
    settings: LimitSettings,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    clients: HashMap<Client, Account>,
    swept: Option<Instant>,
}

/// Whose account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    Address(IpAddr),
    /// Whoever comes from nowhere, and who does not fit any more.
    Others,
}

impl Client {
    fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Client::Address(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            Some(address) => Client::Address(address),
            None => Client::Others,
        }
    }
}

/// What a client has used.
#[derive(Debug, Clone, Copy)]
struct Account {
    /// When the requests so far are worn off.
    requests: Instant,
    /// When the bytes so far are worn off.
    bytes: Instant,
    uploads: u32,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { requests: now, bytes: now, uploads: 0 }
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.uploads == 0 && self.requests <= now && self.bytes <= now
    }
}

/// A client is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverLimit {
    /// Which, by its setting.
    pub limit: &'static str,
    /// When to come back.
    pub retry_after: Duration,
}

/// A request within the limits. Dropping it ends the upload.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<Limits>,
    client: Client,
    is_upload: bool,
}

impl Limits {
    /// Limits that nobody has used anything of.
    pub fn new(settings: LimitSettings) -> Self {
        Self { settings, accounts: Mutex::default() }
    }

    /// Whether nothing is limited.
    pub fn are_none(&self) -> bool {
        self.settings == LimitSettings::default()
    }

    /// Counts a request of a client, and admits it unless the client is over a limit. What was refused uses nothing up.
    ///
    /// # Errors
    /// The limit that the client is over.
    pub fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        is_upload: bool,
        now: Instant,
    ) -> Result<Permit, OverLimit> {
        let LimitSettings { requests_per_second, bytes_per_second, uploads } = self.settings;
        let mut accounts = self.accounts();
        let client = accounts.client(Client::of(address), now);
        let account = accounts.clients.entry(client).or_insert_with(|| Account::new(now));
        let over = |limit, retry_after| Err(OverLimit { limit, retry_after });
        if is_upload && uploads.is_some_and(|most| account.uploads >= most.get()) {
            return over("uploads", BURST);
        }
        if is_upload && bytes_per_second.is_some() && account.bytes > now + BURST {
            return over("bytes_per_second", account.bytes - now - BURST);
        }
        if let Some(rate) = requests_per_second {
            let each = BURST / rate.get();
            let used = account.requests.max(now) + each;
            if used > now + BURST {
                return over("requests_per_second", used - now - BURST);
            }
            account.requests = used;
        }
        account.uploads += u32::from(is_upload);
        drop(accounts);
        Ok(Permit { limits: Arc::clone(self), client, is_upload })
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().expect("no holder panics")
    }
}

impl Accounts {
    /// The account that a client's requests go to.
    fn client(&mut self, client: Client, now: Instant) -> Client {
        if self.clients.len() < CLIENTS_MAX || self.clients.contains_key(&client) {
            return client;
        }
        if self.swept.is_none_or(|swept| now >= swept + SWEEP_EVERY) {
            self.swept = Some(now);
            self.clients.retain(|_, account| !account.is_idle(now));
        }
        if self.clients.len() < CLIENTS_MAX { client } else { Client::Others }
    }
}

impl Permit {
    /// Counts bytes that have come. They are never refused: whoever sends more than allowed waits before the next upload.
    pub fn count(&self, bytes: usize, now: Instant) {
        let Some(rate) = self.limits.settings.bytes_per_second else { return };
        let mut accounts = self.limits.accounts();
        let Some(account) = accounts.clients.get_mut(&self.client) else { return };
        // Exact enough: what is lost below a nanosecond is less than a byte of any rate that is worth a limit.
        let nanoseconds = bytes as u128 * 1_000_000_000 / u128::from(rate.get());
        let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)).min(DEBT_MAX);
        account.bytes = (account.bytes.max(now) + time).min(now + DEBT_MAX);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_upload
            && let Some(account) = self.limits.accounts().clients.get_mut(&self.client)
        {
            account.uploads -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(requests: u32, bytes: u64, uploads: u32) -> Arc<Limits> {
        Arc::new(Limits::new(LimitSettings {
            requests_per_second: NonZeroU32::new(requests),
            bytes_per_second: NonZeroU64::new(bytes),
            uploads: NonZeroU32::new(uploads),
        }))
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn so_many_requests_pass_at_once_and_then_one_whenever_one_is_worn_off() {
        let (limits, now) = (limits(4, 0, 0), Instant::now());
        let admit = |at: Duration| limits.admit(address("10.0.0.1"), false, now + at).map(drop);
        for _ in 0..4 {
            assert_eq!(admit(Duration::ZERO), Ok(()));
        }
        let over = OverLimit { limit: "requests_per_second", retry_after: SECOND / 4 };
        assert_eq!(admit(Duration::ZERO), Err(over));
        assert_eq!(admit(SECOND / 4), Ok(()));
        assert!(admit(SECOND / 4).is_err());
        assert!(limits.admit(address("10.0.0.2"), false, now).is_ok(), "others have accounts of their own");
        assert!(limits.admit(None, false, now).is_ok());
        assert_eq!(admit(SECOND * 100), Ok(()));
    }

    #[test]
    fn a_large_upload_passes_and_the_next_one_waits_until_it_is_worn_off() {
        let (limits, now) = (limits(0, 1000, 0), Instant::now());
        let upload = |at: Duration| limits.admit(address("10.0.0.1"), true, now + at);
        let permit = upload(Duration::ZERO).unwrap();
        permit.count(4000, now);
        permit.count(1000, now);
        drop(permit);
        let over = OverLimit { limit: "bytes_per_second", retry_after: SECOND * 4 };
        assert_eq!(upload(Duration::ZERO).map(drop), Err(over));
        assert!(limits.admit(address("10.0.0.1"), false, now).is_ok(), "a deletion is no upload");
        let permit = upload(SECOND * 4).unwrap();
        permit.count(usize::MAX, now + SECOND * 4);
        assert_eq!(upload(SECOND * 4).unwrap_err().retry_after, DEBT_MAX - SECOND, "never longer than that");
    }

    #[test]
    fn uploads_at_the_same_time_are_counted_until_they_end() {
        let (limits, now) = (limits(0, 0, 2), Instant::now());
        let upload = || limits.admit(address("2001:db8::1"), true, now);
        let (first, second) = (upload().unwrap(), limits.admit(address("2001:db8::2"), true, now).unwrap());
        assert_eq!(upload().unwrap_err().limit, "uploads", "both lie in one /64");
        assert!(limits.admit(address("2001:db8:0:1::1"), true, now).is_ok());
        drop(first);
        assert!(upload().is_ok());
        drop(second);
    }

    #[test]
    fn the_memory_is_bounded_and_who_is_idle_is_forgotten_first() {
        let (limits, now) = (limits(1, 0, 0), Instant::now());
        let at = |number: usize| Some(IpAddr::from((number as u32 + 1).to_be_bytes()));
        for number in 0..CLIENTS_MAX {
            limits.admit(at(number), false, now).unwrap();
        }
        assert!(limits.admit(at(CLIENTS_MAX), false, now).is_ok(), "the first of the others");
        assert!(limits.admit(at(CLIENTS_MAX + 1), false, now).is_err(), "they share one account");
        assert!(limits.accounts().clients.len() <= CLIENTS_MAX + 1);
        assert!(limits.admit(at(CLIENTS_MAX + 1), false, now + SECOND * 2).is_ok());
        assert_eq!(limits.accounts().clients.len(), 1);
    }

    #[test]
    fn without_limits_there_are_none() {
        assert!(Limits::new(LimitSettings::default()).are_none());
        assert!(!limits(0, 0, 1).are_none());
    }
}
