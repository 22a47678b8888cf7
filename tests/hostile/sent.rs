//! Where a web server goes when it is told to send what is not for clients: nowhere, however its name is written. webdfs
//! never says such a thing; the shipped configurations refuse it all the same.

use http::{HeaderName, HeaderValue, StatusCode};
use webdfs::front::fastcgi::{Handler, Params};
use webdfs::response::{ByteStream, Response};

use super::scene::{OTHERS, assert_tells_nothing, kept, options};
use crate::common::odd::InPlace;
use crate::common::setup::SECRET;
use crate::common::{Answer, Call, Cluster, Front};

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

/// Tells the web server, by this header, to send what the client's header `Form` says; whatever the web server does not
/// find is not found.
#[derive(Clone)]
struct Sender(&'static str);

impl Handler for Sender {
    async fn handle(&self, params: Params, _body: ByteStream) -> Response {
        let form = params.get(b"HTTP_FORM").filter(|_| params.get(b"WEBDFS_FAILED_FILE").is_none());
        let Some(form) = form else { return Response::new(StatusCode::NOT_FOUND) };
        let mut response = Response::new(StatusCode::OK);
        let form = HeaderValue::from_bytes(form).expect("a header value");
        response.headers.insert(HeaderName::from_static(self.0), form);
        response
    }
}

/// A node whose web server asks a [`Sender`].
struct Told(InPlace);

impl Told {
    fn start(front: Front, sender: Sender) -> Self {
        Self(InPlace::start(Cluster::start(front, options(front != Front::Responder, OTHERS)), sender))
    }

    fn to_send(&self, form: &str) -> Answer {
        self.0.cluster.send(0, &Call::new("GET", "/asked.jpg").header("Form", form))
    }

    #[track_caller]
    fn sends_nothing(&self, form: &str) {
        let answer = self.to_send(form);
        assert!(answer.status >= 400, "{form}: {answer}");
        assert_tells_nothing(&answer, form);
    }
}

#[test]
fn nginx_sends_no_file_of_webdfs_own_folder_wherever_it_is_told_to_go() {
    for front in [Front::Nginx, Front::Responder] {
        let told = Told::start(front, Sender("x-accel-redirect"));
        assert!(told.to_send("/_webdfs/file/kept.jpg").expect(200).body == kept(), "it goes where it may");
        FORMS.iter().for_each(|form| told.sends_nothing(&format!("/_webdfs/file{form}")));
    }
}

#[test]
fn neither_lighttpd_nor_apache_sends_a_file_from_outside_the_root_wherever_it_is_told_to_go() {
    for front in [Front::Lighttpd, Front::ApacheProxy] {
        let told = Told::start(front, Sender("x-sendfile"));
        let root = told.0.cluster.root(0);
        let (secret, root) = (root.with_file_name("secret"), root.display().to_string());
        // Its name begins like the root's.
        let beside = format!("{root}-beside");
        std::fs::create_dir(&beside).unwrap();
        std::fs::write(format!("{beside}/secret"), SECRET).unwrap();
        assert!(told.to_send(&format!("{root}/kept.jpg")).expect(200).body == kept(), "it goes where it may");
        for form in [
            &*format!("{beside}/secret"),
            &format!("{root}/../secret"),
            &format!("{root}/folder/../../secret"),
            &format!("{root}//..//secret"),
            &format!("{root}/%2e%2e/secret"),
            &format!("{root}/..%2fsecret"),
            &secret.display().to_string(),
            "/etc/passwd",
            "../secret",
            "secret",
            "/",
        ] {
            told.sends_nothing(form);
        }
    }
}
