//! Asking other nodes what reconcile needs to know.

use super::{PeerClient, PeerError};
use crate::cluster::{ClusterMap, NodeIndex};
use crate::name::ObjectName;
use crate::peer::message::Operation;
use crate::peer::reconcile::{
    DigestsAnswer, DigestsOrder, ForgetOrder, HaveAnswer, HaveOrder, InventoryAnswer, InventoryOrder,
    OfferAnswer, OfferOrder,
};
use crate::version::Version;

impl PeerClient {
    /// Walk over your root, unless you have begun to within the last `max_age_ms` milliseconds. Whether that is done.
    ///
    /// # Errors
    /// When the node does not answer, or none of its processes does the background work.
    pub async fn inventory(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        max_age_ms: u64,
    ) -> Result<bool, PeerError> {
        let order = InventoryOrder { max_age_ms };
        let answer: InventoryAnswer = self.control(map, node, &Operation::Inventory, &order).await?;
        Ok(answer.ready)
    }

    /// Which of these ranges differ?
    ///
    /// # Errors
    /// When the node does not answer or has no inventory.
    pub async fn digests(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        order: &DigestsOrder,
    ) -> Result<Vec<usize>, PeerError> {
        let answer: DigestsAnswer = self.control(map, node, &Operation::Digests, order).await?;
        Ok(answer.unequal)
    }

    /// What do you hold of these keys?
    ///
    /// # Errors
    /// When the node does not answer, or its disk fails.
    pub async fn have(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        order: &HaveOrder,
    ) -> Result<HaveAnswer, PeerError> {
        self.control(map, node, &Operation::Have, order).await
    }

    /// Forget the tombstone of exactly this version.
    ///
    /// # Errors
    /// When the node does not answer, or its disk fails.
    pub async fn forget(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        name: &ObjectName,
        version: Version,
    ) -> Result<(), PeerError> {
        self.control(map, node, &Operation::Forget(name.clone()), &ForgetOrder { version }).await
    }

    /// Offer this node all that you have for it. Whether that is done.
    ///
    /// # Errors
    /// When the node does not answer, or none of its processes does the background work.
    pub async fn offer(&self, map: &ClusterMap, node: NodeIndex, token: u64) -> Result<bool, PeerError> {
        let answer: OfferAnswer = self.control(map, node, &Operation::Offer, &OfferOrder { token }).await?;
        Ok(answer.finished)
    }
}
