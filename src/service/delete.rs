//! DELETE: writes a tombstone above whatever the owners hold.

use std::sync::Arc;

use futures_util::future::join_all;
use http::{HeaderMap, Method, StatusCode};

use super::Service;
use super::attempts::Attempts;
use super::gather::{Order, gather};
use super::orders::OrderError;
use super::refusal::{refuse, text};
use super::upload::{choose, count_heard, newest};
use crate::cluster::{NodeIndex, View};
use crate::failpoint::{Step, step};
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::peer::message::{DeleteOrder, HeldAnswer};
use crate::quorum::read_quorum;
use crate::request::Request;
use crate::resolve::Route;
use crate::response::Response;
use crate::semantics::{Precondition, Validators, evaluate};
use crate::version::Version;

/// Why an object was not deleted.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeleteError {
    /// There is nothing to delete.
    #[error("not found")]
    Missing,
    /// The client's If-Match does not hold.
    #[error("the object is not in the state that If-Match or If-Unmodified-Since asks for")]
    Condition,
    /// Too few owners said what they hold.
    #[error("{heard} of the {needed} owners needed could say what they hold")]
    NotHeard {
        /// How many did.
        heard: usize,
        /// How many must.
        needed: usize,
    },
    /// Too few of those that owned it before the map was changed said what they hold.
    #[error("the map has changed, and too few former owners could say what they hold: repeat the request")]
    Moving,
    /// Too few tombstones were written in time.
    #[error(
        "{deleted} of the {needed} owners needed have deleted it: it may disappear later; repeat the request"
    )]
    Unknown {
        /// How many were.
        deleted: usize,
        /// How many must be.
        needed: usize,
    },
}

impl DeleteError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            DeleteError::Missing => StatusCode::NOT_FOUND,
            DeleteError::Condition => StatusCode::PRECONDITION_FAILED,
            DeleteError::NotHeard { .. } | DeleteError::Moving => StatusCode::SERVICE_UNAVAILABLE,
            DeleteError::Unknown { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

pub(super) async fn answer(service: &Arc<Service>, request: &Request, name: &ObjectName) -> Response {
    match delete(service, name, OnlyIf::Headers(&request.headers)).await {
        Ok(()) => Response::new(StatusCode::NO_CONTENT),
        Err(error @ DeleteError::Missing) => text(error.status(), &error.to_string()),
        Err(error) => refuse(error.status(), &error),
    }
}

/// On what a deletion depends.
pub(super) enum OnlyIf<'a> {
    /// The client's conditional headers.
    Headers(&'a HeaderMap),
    /// The newest copy is still this one.
    Version(Version),
    /// Nothing any more: it has begun.
    Begun,
}

/// Deletes an object if the conditions hold.
pub(super) async fn delete(
    service: &Arc<Service>,
    name: &ObjectName,
    only_if: OnlyIf<'_>,
) -> Result<(), DeleteError> {
    let mut attempts = Attempts::default();
    let mut only_if = only_if;
    loop {
        let map = service.map();
        let result = delete_under(service, &map, name, &only_if).await;
        // The condition held, and what is found from now on may be the tombstone of this very deletion.
        if matches!(result, Err(DeleteError::Unknown { .. })) {
            only_if = OnlyIf::Begun;
        }
        let may_be_the_map = match result {
            Err(DeleteError::NotHeard { .. } | DeleteError::Moving) => attempts.another(service, &map).await,
            Err(DeleteError::Unknown { .. }) => !service.is_in_force(&map) && attempts.under_another_map(),
            _ => false,
        };
        if !may_be_the_map {
            return result;
        }
    }
}

async fn delete_under(
    service: &Arc<Service>,
    map: &Arc<View>,
    name: &ObjectName,
    only_if: &OnlyIf<'_>,
) -> Result<(), DeleteError> {
    let route = Route::of(map, name);
    let owners = route.owners(map.own());
    let needed = read_quorum(owners.len(), map.write_quorum());
    let (mut answers, former) =
        tokio::join!(ask_owners(service, map, name, &owners, needed), service.ask_former(map, name, &route));
    let heard = count_heard(&answers);
    if heard < needed {
        return Err(DeleteError::NotHeard { heard, needed });
    }
    let has_answered = |node: &NodeIndex| answers.iter().any(|(answered, _)| answered == node);
    let missed = owners.iter().filter(|node| !has_answered(node));
    let missed = missed.map(|node| map.node(*node).name().clone()).collect();
    let former = service.enough_former(map, name, former, &answers).await.ok_or(DeleteError::Moving)?;
    let asked = owners.len() + route.former_only(map.own()).len();
    answers.extend(former.answers);
    let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
    // Before the conditions, which say nothing about what is missing anyway (RFC 9110 section 13.2.1).
    let has_begun = matches!(only_if, OnlyIf::Begun);
    if !has_begun && nothing_to_delete(&answers, asked) {
        return Err(DeleteError::Missing);
    }
    let newest = newest(answers.iter().map(|answer| answer.held));
    let holds = match only_if {
        OnlyIf::Headers(headers) => {
            let validators = |copy: &CopyInfo| Validators {
                version: copy.version,
                size: copy.size,
                front: service.settings.deliver.front,
            };
            let current = newest.copy().map(validators);
            evaluate(&Method::DELETE, headers, current.as_ref()) == Precondition::Proceed
        }
        OnlyIf::Begun => true,
        OnlyIf::Version(_) if newest.copy().is_none() => return Err(DeleteError::Missing),
        OnlyIf::Version(version) => newest.version() == Some(*version),
    };
    if !holds {
        return Err(DeleteError::Condition);
    }

    step(Step::DeletionAsked);
    let version = choose(&newest, None);
    let order = DeleteOrder { version, missed };
    let orders = owners.iter().map(|&node| -> Order {
        let (service, map, name, order) = (Arc::clone(service), Arc::clone(map), name.clone(), order.clone());
        let obeyed = Box::pin(async move {
            let result = service.order_delete(&map, node, &name, &order).await;
            if let Err(error) = &result {
                log::warn!("an owner does not delete: {error}");
            }
            result.is_ok()
        });
        (node, obeyed)
    });
    let (needed, orders) = (map.write_quorum(), orders.collect());
    let obeyed = gather(service, Arc::clone(map), name, orders, needed).await;
    if !obeyed.enough {
        return Err(DeleteError::Unknown { deleted: obeyed.count, needed });
    }
    service.supersede(map, name, &route, version);
    Ok(())
}

/// What the owners hold, of those that answer. Those known to be down are asked only if too few others say what counts.
async fn ask_owners(
    service: &Service,
    map: &View,
    name: &ObjectName,
    owners: &[NodeIndex],
    needed: usize,
) -> Vec<(NodeIndex, HeldAnswer)> {
    let ask = async |nodes: Vec<NodeIndex>| {
        let asked = join_all(nodes.iter().map(|node| service.ask(map, *node, name))).await;
        let answer = |(node, asked): (NodeIndex, Result<HeldAnswer, OrderError>)| match asked {
            Ok(answer) => Some((node, answer)),
            Err(error) => {
                log::warn!("a deletion goes on without an owner: {error}");
                None
            }
        };
        nodes.into_iter().zip(asked).filter_map(answer).collect::<Vec<_>>()
    };
    let (down, up) = owners.iter().copied().partition(|node| service.peers.is_down(map, *node));
    let mut answers = ask(up).await;
    if count_heard(&answers) < needed {
        answers.extend(ask(down).await);
    }
    answers
}

/// Whether a tombstone would add nothing: every owner is complete, and all hold nothing or all the same tombstone.
fn nothing_to_delete(answers: &[HeldAnswer], owners: usize) -> bool {
    let same = answers.windows(2).all(|pair| pair[0].held == pair[1].held);
    let complete = answers.len() == owners && answers.iter().all(|answer| answer.complete);
    complete && same && answers.iter().all(|answer| !matches!(answer.held, Held::Copy(_)))
}
