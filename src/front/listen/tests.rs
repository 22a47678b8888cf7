use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener as StdUnixListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::inherited::parse_addresses;
use super::*;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A connection that somebody has opened.
fn accept(listener: &Listener) -> Stream {
    listener.accept(None, Some(Duration::from_secs(30))).unwrap().expect("a connection")
}

/// Whether a byte gets through a new connection to a unix listener.
async fn answers(listener: &Listener, path: &Path) {
    let mut client = UnixStream::connect(path).await.unwrap();
    let mut server = accept(listener);
    client.write_all(b"x").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_unix_socket_has_the_mode_asked_for_and_its_file_goes_with_the_listener() {
    let directory = directory();
    let path = directory.path().join("socket");
    for mode in [0o600, 0o660, 0o666] {
        let listener = Listener::unix(&path, mode).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, mode);
        assert_eq!(listener.to_string(), format!("unix:{}", path.display()));
        answers(&listener, &path).await;
        drop(listener);
        assert!(!path.exists());
    }
}

#[test]
fn a_thread_that_waits_for_connections_hears_what_else_its_future_waits_for() {
    let directory = directory();
    let path = directory.path().join("socket");
    let listener = Listener::unix(&path, 0o600).unwrap();
    let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
    let speaker = std::thread::spawn(move || {
        say.send("a word").unwrap();
        let connection = std::os::unix::net::UnixStream::connect(path).unwrap();
        say.send("another").unwrap();
        connection
    });
    let (mut words, mut accepted) = (Vec::new(), Vec::new());
    let attended = attend(|bell| {
        std::future::poll_fn(move |context| {
            while let std::task::Poll::Ready(Some(word)) = said.poll_recv(context) {
                words.push(word);
            }
            if (words.len(), accepted.len()) == (2, 1) {
                return std::task::Poll::Ready(std::mem::take(&mut words));
            }
            while accepted.is_empty()
                && let Some(stream) = listener.accept(Some(&bell), None).unwrap()
            {
                accepted.push(stream);
                context.waker().wake_by_ref();
            }
            std::task::Poll::Pending
        })
    });
    assert_eq!(attended.unwrap(), ["a word", "another"]);
    drop(speaker.join().unwrap());
}

#[test]
fn nobody_is_waited_for_longer_than_said() {
    let directory = directory();
    let listener = Listener::unix(&directory.path().join("socket"), 0o600).unwrap();
    assert!(listener.accept(None, Some(Duration::ZERO)).unwrap().is_none());
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let directory = directory();
    let path = directory.path().join("socket");
    drop(StdUnixListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves the file behind, as a killed process does");
    let listener = Listener::unix(&path, 0o600).unwrap();
    answers(&listener, &path).await;
}

#[tokio::test]
async fn a_socket_on_which_someone_answers_is_left_alone_and_named() {
    let directory = directory();
    let path = directory.path().join("socket");
    let first = Listener::unix(&path, 0o600).unwrap();
    let error = Listener::unix(&path, 0o600).unwrap_err();
    assert!(matches!(&error, ListenError::InUse(named) if *named == path), "{error}");
    // The look at it left a connection that ended; the next is served all the same.
    drop(accept(&first));
    answers(&first, &path).await;
}

#[tokio::test]
async fn what_is_not_a_socket_is_never_removed() {
    let directory = directory();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let error = Listener::unix(&path, 0o600).unwrap_err();
    assert!(matches!(&error, ListenError::NotASocketFile(named) if *named == path), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
    let missing = Listener::unix(&directory.path().join("no/such/folder"), 0o600).unwrap_err();
    assert!(matches!(missing, ListenError::Step { step: "bind", .. }), "{missing}");
    let long = Listener::unix(&directory.path().join("x".repeat(150)), 0o600).unwrap_err();
    assert!(matches!(long, ListenError::Step { step: "use this path for a socket", .. }), "{long}");
}

#[tokio::test]
async fn the_file_of_a_successor_is_not_removed() {
    let directory = directory();
    let path = directory.path().join("socket");
    let first = Listener::unix(&path, 0o600).unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = Listener::unix(&path, 0o600).unwrap();
    drop(first);
    answers(&second, &path).await;
}

#[tokio::test]
async fn tcp_connections_do_not_wait_for_acknowledgements() {
    let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
    let address = listener.tcp_address().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"x").await.unwrap();
    let mut server = accept(&listener);
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    assert!(sockopt::tcp_nodelay(server.into_socket().unwrap()).unwrap());
    let error = Listener::tcp(&address.to_string()).await.unwrap_err();
    assert!(error.to_string().starts_with(&address.to_string()), "{error}");
}

#[tokio::test]
async fn inherited_sockets_of_both_families_are_adopted() {
    let directory = directory();
    let path = directory.path().join("socket");
    let unix = StdUnixListener::bind(&path).unwrap();
    let listener = Listener::inherited(unix.as_raw_fd()).unwrap();
    answers(&listener, &path).await;
    drop(listener);
    assert!(path.exists(), "whoever made it removes it");

    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = Listener::inherited(tcp.as_raw_fd()).unwrap();
    let client = TcpStream::connect(tcp.local_addr().unwrap()).await.unwrap();
    assert_eq!(peer(accept(&listener)), client.local_addr().unwrap());
}

#[tokio::test]
async fn anything_but_a_listening_socket_is_refused_with_what_it_is() {
    let (connected, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let table = [
        (connected.as_raw_fd(), "is a socket that does not listen"),
        (file.as_raw_fd(), "is not a socket"),
        (datagram.as_raw_fd(), "is not a stream socket"),
        (1_000_000, "cannot be used (Bad file descriptor (os error 9))"),
    ];
    for (fd, what) in table {
        let error = Listener::inherited(fd).unwrap_err().to_string();
        assert!(error.starts_with(&format!("file descriptor {fd} {what}; expected")), "{error}");
    }
}

#[test]
fn sockets_of_systemd_are_taken_only_if_they_are_meant_for_this_process() {
    let own = std::process::id().to_string();
    let nothing = |pid, count| {
        let handed = Listener::systemd(pid, count, None).unwrap();
        handed.fcgi.is_none() && handed.http.is_none()
    };
    assert!(nothing(None, None));
    assert!(nothing(Some("1"), Some("1")));
    assert!(nothing(Some("nonsense"), Some("1")));
    assert!(nothing(Some(&own), Some("0")));
    for count in ["3", "-1", "many"] {
        let error = Listener::systemd(Some(&own), Some(count), None).unwrap_err();
        assert!(matches!(error, ListenError::Environment { name: "LISTEN_FDS", .. }), "{error}");
    }
    for names in [None, Some("fcgi:fcgi"), Some("webdfs.socket:http"), Some("fcgi")] {
        let error = Listener::systemd(Some(&own), Some("2"), names).unwrap_err();
        assert!(matches!(error, ListenError::Environment { name: "LISTEN_FDNAMES", .. }), "{error}");
    }
}

#[tokio::test]
async fn only_the_web_servers_addresses_may_connect_where_they_are_given() {
    assert_eq!(parse_addresses("127.0.0.1, ::1").unwrap().len(), 2);
    assert!(matches!(parse_addresses("localhost"), Err(ListenError::Environment { .. })));

    let mut listener = Listener::tcp("127.0.0.1:0").await.unwrap();
    listener.allowed = Some(parse_addresses("127.0.0.2,::ffff:127.0.0.3").unwrap());
    let address = listener.tcp_address().unwrap();
    let client = |from: &'static str| async move {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket.connect(address).await.unwrap()
    };
    let (_refused, allowed) = (client("127.0.0.1").await, client("127.0.0.3").await);
    assert_eq!(peer(accept(&listener)), allowed.local_addr().unwrap());
}

#[tokio::test]
async fn a_spare_keeps_a_socket_listening_and_may_leave_its_file() {
    let directory = directory();
    let path = directory.path().join("socket");
    let listener = Listener::unix(&path, 0o600).unwrap();
    let spare = listener.spare().unwrap();
    drop(listener);
    let waiting = UnixStream::connect(&path).await.unwrap();
    let socket = spare.as_fd().try_clone_to_owned().unwrap();
    let mut next = Listener::adopted(socket, 7).unwrap();
    assert_eq!(next.unix_path().as_deref(), Some(&*path));
    spare.leave_file();
    assert!(path.exists());
    next.own_file(&path, 0o660).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o660);
    let accepted = accept(&next);
    drop((waiting, accepted));
    answers(&next, &path).await;
    drop(next);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_connection_can_be_handed_on_with_what_it_carries() {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"a request").await.unwrap();
    let far = far.into_std().unwrap().into();
    let mut adopted = Stream::adopted(far).unwrap();
    let mut got = [0; 9];
    adopted.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"a request");
    // Whether or not it has been waited for.
    near.write_all(b"a second").await.unwrap();
    let mut adopted = Stream::adopted(adopted.into_socket().unwrap()).unwrap();
    adopted.read_exact(&mut got[..8]).await.unwrap();
    assert_eq!(read_later(&mut adopted, &mut near).await, b'x');
    near.write_all(b"the third").await.unwrap();
    let mut adopted = Stream::adopted(adopted.into_socket().unwrap()).unwrap();
    adopted.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"the third");
}

#[tokio::test]
async fn a_connection_is_watched_only_once_it_has_to_be_waited_for() {
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut stream = Stream::adopted(far.into_std().unwrap().into()).unwrap();
    near.write_all(b"ab").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'a');
    assert_eq!(stream.read_u8().await.unwrap(), b'b');
    stream.write_all(b"c").await.unwrap();
    assert_eq!(near.read_u8().await.unwrap(), b'c');
    assert!(!stream.is_watched());
    assert_eq!(read_later(&mut stream, &mut near).await, b'x');
    assert!(stream.is_watched());
}

#[tokio::test]
async fn what_a_socket_has_no_room_for_is_written_when_it_has() {
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut stream = Stream::adopted(far.into_std().unwrap().into()).unwrap();
    let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number as u8).collect();
    let mut got = Vec::new();
    let write = async {
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let (read, ()) = tokio::join!(near.read_to_end(&mut got), write);
    assert_eq!(read.unwrap(), sent.len());
    assert!(got == sent && stream.is_watched());
}

/// A byte that is sent only when somebody waits for it.
async fn read_later(stream: &mut Stream, near: &mut UnixStream) -> u8 {
    let send = async { near.write_all(b"x").await.unwrap() };
    // In this order: `join` looks at the reader first.
    tokio::join!(biased; stream.read_u8(), send).0.unwrap()
}

/// Who is at the other end of a connection over TCP.
fn peer(stream: Stream) -> SocketAddr {
    let address = rustix::net::getpeername(stream.into_socket().unwrap()).unwrap();
    address.expect("a connection over TCP has two ends").try_into().unwrap()
}
