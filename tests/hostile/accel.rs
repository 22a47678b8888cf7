//! Where nginx goes when it is told to go to webdfs's own folder: nowhere, however its name is written. webdfs never
//! says such a thing; the shipped location refuses it all the same.

use http::{HeaderName, HeaderValue, StatusCode};
use webdfs::front::fastcgi::{Handler, Limits, Params, serve};
use webdfs::front::listen::Listener;
use webdfs::response::{ByteStream, Response};

use super::scene::{OTHERS, assert_tells_nothing, kept, options};
use crate::common::{Call, Cluster, Front};

/// Ways to write the path of the node's own records that nginx might take for another.
const FORMS: [&str; 10] = [
    "/.webdfs/node.toml",
    "//.webdfs/node.toml",
    "/./.webdfs/node.toml",
    "/%2f.webdfs/node.toml",
    "/%2e/.webdfs/node.toml",
    "/.//./.webdfs/node.toml",
    "/%2ewebdfs/node.toml",
    "/.webdfs%2fnode.toml",
    "/folder/../.webdfs/node.toml",
    "/../.webdfs/node.toml",
];

/// Sends nginx to the file that the header `Form` names; whatever nginx does not find is not found.
#[derive(Clone)]
struct Sender;

impl Handler for Sender {
    async fn handle(&self, params: Params, _body: ByteStream) -> Response {
        let form = params.get(b"HTTP_FORM").filter(|_| params.get(b"WEBDFS_FAILED_FILE").is_none());
        let Some(form) = form else { return Response::new(StatusCode::NOT_FOUND) };
        let mut response = Response::new(StatusCode::OK);
        let location = HeaderValue::from_bytes(&[b"/_webdfs/file", form].concat()).expect("a header value");
        response.headers.insert(HeaderName::from_static("x-accel-redirect"), location);
        response
    }
}

#[test]
fn nginx_sends_no_file_of_webdfs_own_folder_wherever_it_is_told_to_go() {
    for front in [Front::Nginx, Front::Responder] {
        let cluster = Cluster::start(front, options(front == Front::Nginx, OTHERS));
        cluster.kill_webdfs(0);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (_stop, stopping) = tokio::sync::watch::channel(false);
        let listener = runtime.block_on(async { Listener::unix(&cluster.socket(0), 0o600) });
        let listener = listener.expect("the socket of the webdfs that has ended");
        let _serving = runtime.spawn(serve(listener, Sender, Limits::default(), stopping));
        let told = |form: &str| cluster.send(0, &Call::new("GET", "/asked.jpg").header("Form", form));
        assert!(told("/kept.jpg").expect(200).body == kept(), "it goes where it may");
        for form in FORMS {
            let answer = told(form);
            assert!(answer.status >= 400, "{form}: {answer}");
            assert_tells_nothing(&answer, form);
        }
    }
}
