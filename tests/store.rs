//! The storage root as the rest of webdfs uses it (design, sections 4 and 5), on a real file system. What a crash
//! leaves behind is in `crash.rs`.

mod store {
    /// Many copies of another node at once.
    mod batch;
    /// Files that people put into the root, edit or move: plain ones, links, pipes.
    mod by_hand;
    /// Two names that cannot both be paths, and names that cannot be one at all.
    mod escape;
    /// Roots laid out as the original webDFS does.
    mod hashed;
    /// The same on real file systems, which takes the right to mount them.
    mod mounts;
    /// Which of two copies stays.
    mod order;
    /// Several processes on one root.
    mod processes;
    /// What the repair of a root does to single keys: verifying, forgetting, unlinking what others have.
    mod repair;
    /// Roots that turn out to be older than what other nodes know, and the stamps that tell.
    mod returned;
    /// Roots that are refused, and those that must not be.
    mod roots;
    /// Files put there or edited by hand that become replicas.
    mod settled;
    /// Full disks.
    mod space;
    /// Uploads: their ids, their end, and what becomes of those that nobody commits.
    mod spools;
}
mod store_support;
