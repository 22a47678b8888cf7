//! Asking other nodes what reconcile needs to know.

use std::time::Duration;

use super::{PeerClient, PeerError};
use crate::cluster::{NodeIndex, View};
use crate::peer::message::Operation;
use crate::peer::reconcile::{
    AgreedAnswer, DigestsAnswer, DigestsOrder, ForgetAnswer, HaveAnswer, HaveOrder, InventoryAnswer,
    InventoryOrder, OfferAnswer, OfferOrder, TombstonesOrder,
};

impl PeerClient {
    /// Walk over your root, unless you have begun to within the last `max_age_ms` milliseconds. Whether that is done.
    ///
    /// # Errors
    /// When the node does not answer, or none of its processes does the background work.
    pub async fn inventory(&self, map: &View, node: NodeIndex, max_age_ms: u64) -> Result<bool, PeerError> {
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
        map: &View,
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
        map: &View,
        node: NodeIndex,
        order: &HaveOrder,
    ) -> Result<HaveAnswer, PeerError> {
        self.control(map, node, &Operation::Have, order).await
    }

    /// For how long have you known that every owner has these tombstones? In their order; `None` for one that the node has
    /// not, or must not count.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn agreed(
        &self,
        map: &View,
        node: NodeIndex,
        order: &TombstonesOrder,
    ) -> Result<Vec<Option<Duration>>, PeerError> {
        let answer: AgreedAnswer = self.control(map, node, &Operation::Agreed, order).await?;
        Ok(answer.seconds.into_iter().map(|seconds| seconds.map(Duration::from_secs)).collect())
    }

    /// Forget the tombstones of exactly these versions. Whether it has, in their order.
    ///
    /// # Errors
    /// When the node does not answer: some may be forgotten then.
    pub async fn forget(
        &self,
        map: &View,
        node: NodeIndex,
        order: &TombstonesOrder,
    ) -> Result<Vec<bool>, PeerError> {
        let answer: ForgetAnswer = self.control(map, node, &Operation::Forget, order).await?;
        Ok(answer.forgotten)
    }

    /// Offer this node all that you have for it. Whether that is done.
    ///
    /// # Errors
    /// When the node does not answer, or none of its processes does the background work.
    pub async fn offer(&self, map: &View, node: NodeIndex, token: u64) -> Result<bool, PeerError> {
        let answer: OfferAnswer = self.control(map, node, &Operation::Offer, &OfferOrder { token }).await?;
        Ok(answer.finished)
    }
}
