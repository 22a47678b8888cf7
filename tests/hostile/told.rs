//! What webdfs is told of a request: what the client wrote, and nobody's name; of a file on this disk, nothing.

use super::scene::{OTHERS, kept, options};
use crate::common::odd::{InPlace, Odd};
use crate::common::{Call, Cluster, Front};

#[test]
fn webdfs_is_told_the_target_and_the_token_as_they_were_written_and_nobodys_name() {
    let fronts =
        [Front::Nginx, Front::Responder, Front::Lighttpd, Front::ApacheProxy, Front::Haproxy, Front::Caddy];
    for front in fronts {
        let cluster = Cluster::start(front, options(front != Front::Responder, OTHERS));
        let told = InPlace::start(cluster, Odd::new().0);
        let target = "/a%20b//x/../%c3%a9.jpg?q=1%202&z=a+b";
        for authorization in ["Bearer a-token", "Basic YWRtaW46YWRtaW4="] {
            let call = Call::new("GET", target).header("Authorization", authorization);
            let params = told.cluster.send(0, &call).expect(200).text();
            for (name, value) in [("REQUEST_URI", target), ("HTTP_AUTHORIZATION", authorization)] {
                assert!(params.contains(&format!("\"{name}\": \"{value}\"")), "{front:?}: {name}: {params}");
            }
            let is_named =
                params.contains("\"REMOTE_USER\": \"") && !params.contains("\"REMOTE_USER\": \"\"");
            assert!(!is_named, "{front:?}: {params}");
        }
    }
}

#[test]
fn of_a_file_on_this_disk_webdfs_is_told_nothing() {
    for front in [Front::Nginx, Front::Lighttpd, Front::ApacheProxy, Front::Caddy] {
        let told = InPlace::start(Cluster::start(front, options(true, OTHERS)), Odd::new().0);
        // It would answer with what it was told.
        let cluster = &told.cluster;
        assert!(cluster.get(0, "/missing.jpg").expect(200).text().contains("REQUEST_URI"), "{front:?}");
        assert!(cluster.get(0, "/kept.jpg").expect(200).body == kept(), "{front:?}");
        let length = kept().len().to_string();
        assert_eq!(
            cluster.head(0, "/kept.jpg").expect(200).header("Content-Length"),
            Some(&*length),
            "{front:?}"
        );
    }
}
