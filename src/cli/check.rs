//! placeholder
use super::{CheckArgs, CliError};
pub(super) fn run(_args: &CheckArgs) -> Result<(), CliError> {
    Ok(())
}
