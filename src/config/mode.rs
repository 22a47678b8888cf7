//! Permission bits as an operator writes them, "0644".  Pure.

/// Every permission bit; set-user-id and its like are none of webdfs's business.
const PERMISSIONS: u32 = 0o777;

/// Why a text is refused as the mode of a file, folder or socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// Not three octal digits, with or without a leading zero.
    #[error("a mode is octal digits in quotes, such as \"0644\", up to \"0777\"")]
    Form,
    /// The owner, webdfs itself, would be shut out.
    #[error("webdfs, the owner, needs {:04o}; use a mode with these bits, such as \"{:04o}\"", .needed, .example)]
    OwnerShutOut {
        /// The bits that are needed.
        needed: u32,
        /// The default mode.
        example: u32,
    },
    /// A replica would be a program.
    #[error("a replica is data and never a program; use a mode without x bits, such as \"0644\"")]
    Program,
}

/// The bits that `text` names.
///
/// # Errors
/// When `text` is not of that form.
pub fn parse(text: &str) -> Result<u32, ModeError> {
    let octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if !octal || !(3..=4).contains(&text.len()) {
        return Err(ModeError::Form);
    }
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= PERMISSIONS => Ok(mode),
        _ => Err(ModeError::Form),
    }
}

/// The mode of replicas: readable and writable by webdfs, executable by nobody.
///
/// # Errors
/// When it is none, or not such a mode.
pub fn parse_file(text: &str) -> Result<u32, ModeError> {
    let mode = parse_for_owner(text, 0o600, 0o644)?;
    if mode & 0o111 != 0 { Err(ModeError::Program) } else { Ok(mode) }
}

/// The mode of folders: webdfs may list, enter and change them.
///
/// # Errors
/// When it is none, or not such a mode.
pub fn parse_folder(text: &str) -> Result<u32, ModeError> {
    parse_for_owner(text, 0o700, 0o755)
}

/// A mode that leaves its owner the bits `needed`.
fn parse_for_owner(text: &str, needed: u32, example: u32) -> Result<u32, ModeError> {
    let mode = parse(text)?;
    if mode & needed == needed { Ok(mode) } else { Err(ModeError::OwnerShutOut { needed, example }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_three_octal_digits_with_or_without_a_zero() {
        assert_eq!(parse("0660"), Ok(0o660));
        assert_eq!(parse("660"), Ok(0o660));
        for text in ["", "66", "0o660", "0888", "1777", "7777", "00660", "-644", "rw-", "+644", "٠٦٦٠"] {
            assert_eq!(parse(text), Err(ModeError::Form), "{text}");
        }
    }

    #[test]
    fn webdfs_must_be_able_to_use_what_it_makes() {
        assert_eq!(parse_file("0640"), Ok(0o640));
        assert_eq!(parse_folder("0750"), Ok(0o750));
        assert_eq!(parse_file("0444"), Err(ModeError::OwnerShutOut { needed: 0o600, example: 0o644 }));
        assert_eq!(parse_folder("0644"), Err(ModeError::OwnerShutOut { needed: 0o700, example: 0o755 }));
        assert_eq!(parse_file("0755"), Err(ModeError::Program));
        let error = parse_folder("0644").unwrap_err().to_string();
        assert!(error.contains("needs 0700") && error.contains("\"0755\""), "{error}");
    }
}
