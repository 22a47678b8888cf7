//! Hostile heads: nothing that a client writes into a request makes it a writer, a node, or two requests; nothing
//! outside the root is sent, and no answer is split. Each test looks at the answers and at the disks.

mod common;

mod hostile {
    /// Headers by which one might pass for somebody else.
    pub mod headers;
    /// Targets that lead out of the root, or to what is no object.
    pub mod outside;
    /// Two nodes, what stands in their roots, and what must never be told.
    pub mod scene;
    /// Where a web server goes when it is told to send what is not for clients.
    pub mod sent;
    /// One request that would be two, and one answer.
    pub mod splitting;
    /// What webdfs is told of a request.
    pub mod told;
}

use common::Front;
use hostile::headers::{no_header_changes_what_is_read, no_header_makes_a_writer};
use hostile::outside::nothing_but_objects_is_ever_sent;
use hostile::splitting::{no_name_splits_an_answer, no_request_becomes_two};

/// A test of each function for each web server.
macro_rules! on_all_fronts {
    ($($function:ident),+ $(,)?) => {
        $(mod $function {
            use super::Front;
            #[test] fn nginx() { super::$function(Front::Nginx, true) }
            #[test] fn nginx_handing_over() { super::$function(Front::Responder, false) }
            #[test] fn apache_fcgid() { super::$function(Front::ApacheFcgid, true) }
            #[test] fn apache_proxy() { super::$function(Front::ApacheProxy, true) }
            #[test] fn apache_handing_over() { super::$function(Front::ApacheProxy, false) }
            #[test] fn lighttpd() { super::$function(Front::Lighttpd, true) }
            #[test] fn lighttpd_handing_over() { super::$function(Front::Lighttpd, false) }
            #[test] fn haproxy() { super::$function(Front::Haproxy, true) }
            #[test] fn caddy() { super::$function(Front::Caddy, true) }
            #[test] fn embedded() { super::$function(Front::Embedded, true) }
        })+
    };
}

on_all_fronts!(
    no_header_makes_a_writer,
    no_header_changes_what_is_read,
    nothing_but_objects_is_ever_sent,
    no_name_splits_an_answer,
    no_request_becomes_two,
);
