//! What webdfs is told of a request: what the client wrote, and nobody's name.

use super::scene::{OTHERS, options};
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
