//! What systemd is told of the life of a node (sd_notify(3), units with `Type=notify`). Where nobody asks to be told,
//! none of this does anything.

use sd_notify::NotifyState;

/// It answers requests.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] follows, whether that is accepted or not.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::debug!("systemd is not told of a reload: {error}"),
    }
}

/// It finishes what runs, and ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Another process is the service now. Only the one that was may say so.
pub(super) fn replaced_by(process: u32) {
    tell(&[NotifyState::MainPid(process)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd cannot be told ({states:?}): {error}");
    }
}
