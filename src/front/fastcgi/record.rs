//! FastCGI records: the header, the types, and the small bodies of fixed shape.  Pure.
//!
//! Here are only the values on the wire and their bytes. What a record means for a connection is `conn`'s business;
//! nothing here keeps state. Names follow the FastCGI 1.0 specification, sections 3.3, 4, 5 and 8:
//! <https://fastcgi-archives.github.io/FastCGI_Specification.html>

/// Bytes of a record's header (`FCGI_HEADER_LEN`, section 8).
pub const HEADER_LENGTH: usize = 8;
/// The only version there is (`FCGI_VERSION_1`, section 3.3).
pub const VERSION_1: u8 = 1;
/// The request id of management records (`FCGI_NULL_REQUEST_ID`, section 3.3).
pub const NULL_REQUEST_ID: u16 = 0;
/// Content of a full record that we send: the largest multiple of eight below 64 KiB, so that it needs no padding and
/// the next header is aligned (section 3.3, "Padding").
pub const CONTENT_MAX: usize = 65_528;
/// Bytes of the bodies of `FCGI_BEGIN_REQUEST`, `FCGI_END_REQUEST` and `FCGI_UNKNOWN_TYPE` (section 8).
pub const FIXED_BODY_LENGTH: usize = 8;

/// What a record is (section 8, "Values for type component").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    /// A request begins; to the application.
    BeginRequest,
    /// The web server no longer wants the answer; to the application.
    AbortRequest,
    /// A request is answered; to the web server.
    EndRequest,
    /// A piece of the stream of parameters; to the application.
    Params,
    /// A piece of the request's body; to the application.
    Stdin,
    /// A piece of the answer; to the web server.
    Stdout,
    /// A piece of text for the web server's error log.
    Stderr,
    /// A piece of a filter's file; to the application. A responder has no use for it.
    Data,
    /// A question for the application's limits; management.
    GetValues,
    /// The answer to it; management.
    GetValuesResult,
    /// The answer to a management record of a type that is not known here; management.
    UnknownType,
    /// Any other number.
    Other(u8),
}

impl From<u8> for RecordType {
    fn from(byte: u8) -> Self {
        match byte {
            1 => Self::BeginRequest,
            2 => Self::AbortRequest,
            3 => Self::EndRequest,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9 => Self::GetValues,
            10 => Self::GetValuesResult,
            11 => Self::UnknownType,
            other => Self::Other(other),
        }
    }
}

impl From<RecordType> for u8 {
    fn from(record_type: RecordType) -> Self {
        match record_type {
            RecordType::BeginRequest => 1,
            RecordType::AbortRequest => 2,
            RecordType::EndRequest => 3,
            RecordType::Params => 4,
            RecordType::Stdin => 5,
            RecordType::Stdout => 6,
            RecordType::Stderr => 7,
            RecordType::Data => 8,
            RecordType::GetValues => 9,
            RecordType::GetValuesResult => 10,
            RecordType::UnknownType => 11,
            RecordType::Other(other) => other,
        }
    }
}

/// The header in front of every record (section 3.3):
///
/// ```text
///   0        1        2        3        4        5        6        7
/// +--------+--------+--------+--------+--------+--------+--------+--------+
/// |version | type   | request id      | content length  |padding |reserved|
/// +--------+--------+--------+--------+--------+--------+--------+--------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record is.
    pub record_type: RecordType,
    /// The request it belongs to; [`NULL_REQUEST_ID`] for the connection as a whole.
    pub request_id: u16,
    /// Bytes of content that follow the header.
    pub content_length: u16,
    /// Bytes after the content that mean nothing.
    pub padding_length: u8,
}

/// The version byte of a header was not [`VERSION_1`]. Where the next record would begin is not known, so the
/// connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a FastCGI record has version {0}, only version 1 exists")]
pub struct VersionError(pub u8);

impl RecordHeader {
    /// A header of a record whose content is padded to a multiple of eight bytes, as section 3.3 recommends.
    pub const fn padded(record_type: RecordType, request_id: u16, content_length: u16) -> Self {
        let padding_length = (content_length.wrapping_neg() % 8) as u8;
        Self { record_type, request_id, content_length, padding_length }
    }

    /// The header in eight bytes off the wire.
    ///
    /// # Errors
    /// The version is not 1.
    pub fn decode(bytes: [u8; HEADER_LENGTH]) -> Result<Self, VersionError> {
        let [version, record_type, id_high, id_low, length_high, length_low, padding_length, _reserved] =
            bytes;
        if version != VERSION_1 {
            return Err(VersionError(version));
        }
        Ok(Self {
            record_type: record_type.into(),
            request_id: u16::from_be_bytes([id_high, id_low]),
            content_length: u16::from_be_bytes([length_high, length_low]),
            padding_length,
        })
    }

    /// The eight bytes for the wire.
    pub fn encode(self) -> [u8; HEADER_LENGTH] {
        let [id_high, id_low] = self.request_id.to_be_bytes();
        let [length_high, length_low] = self.content_length.to_be_bytes();
        let record_type = self.record_type.into();
        [VERSION_1, record_type, id_high, id_low, length_high, length_low, self.padding_length, 0]
    }
}

/// What the web server asks the application to be (section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers a request: the only role played here.
    Responder,
    /// Decides whether a request is allowed.
    Authorizer,
    /// Answers a request with a filtered file.
    Filter,
    /// Any other number.
    Other(u16),
}

impl From<u16> for Role {
    fn from(number: u16) -> Self {
        match number {
            1 => Self::Responder,
            2 => Self::Authorizer,
            3 => Self::Filter,
            other => Self::Other(other),
        }
    }
}

impl From<Role> for u16 {
    fn from(role: Role) -> Self {
        match role {
            Role::Responder => 1,
            Role::Authorizer => 2,
            Role::Filter => 3,
            Role::Other(other) => other,
        }
    }
}

/// The body of `FCGI_BEGIN_REQUEST` (section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeginRequest {
    /// What the web server expects of the application.
    pub role: Role,
    /// Whether the web server wants the connection left open after the answer (`FCGI_KEEP_CONN`).
    pub keep_conn: bool,
}

/// The bit of the flags that says [`BeginRequest::keep_conn`].
const KEEP_CONN: u8 = 1;

impl BeginRequest {
    /// From the eight bytes of the body. Unknown flags and reserved bytes are ignored.
    pub fn decode(bytes: [u8; FIXED_BODY_LENGTH]) -> Self {
        let role = Role::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        Self { role, keep_conn: bytes[2] & KEEP_CONN != 0 }
    }

    /// The eight bytes of the body.
    pub fn encode(self) -> [u8; FIXED_BODY_LENGTH] {
        let [role_high, role_low] = u16::from(self.role).to_be_bytes();
        [role_high, role_low, if self.keep_conn { KEEP_CONN } else { 0 }, 0, 0, 0, 0, 0]
    }
}

/// How a request ended, as the protocol sees it (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolStatus {
    /// Answered.
    RequestComplete,
    /// Refused: one request at a time on this connection.
    CantMultiplex,
    /// Refused: too many at once.
    Overloaded,
    /// Refused: not a role played here.
    UnknownRole,
}

/// A whole `FCGI_END_REQUEST` record, header and body. The application status is zero: it is meant for exit codes of
/// programs (section 5.5), and a status for the client travels in the answer.
pub fn end_request(request_id: u16, status: ProtocolStatus) -> [u8; HEADER_LENGTH + FIXED_BODY_LENGTH] {
    let header = RecordHeader::padded(RecordType::EndRequest, request_id, FIXED_BODY_LENGTH as u16);
    let mut bytes = [0; HEADER_LENGTH + FIXED_BODY_LENGTH];
    bytes[..HEADER_LENGTH].copy_from_slice(&header.encode());
    bytes[HEADER_LENGTH + 4] = match status {
        ProtocolStatus::RequestComplete => 0,
        ProtocolStatus::CantMultiplex => 1,
        ProtocolStatus::Overloaded => 2,
        ProtocolStatus::UnknownRole => 3,
    };
    bytes
}

/// A whole `FCGI_UNKNOWN_TYPE` record: the answer to a management record of a type not known here (section 4.2).
pub fn unknown_type(record_type: u8) -> [u8; HEADER_LENGTH + FIXED_BODY_LENGTH] {
    let header = RecordHeader::padded(RecordType::UnknownType, NULL_REQUEST_ID, FIXED_BODY_LENGTH as u16);
    let mut bytes = [0; HEADER_LENGTH + FIXED_BODY_LENGTH];
    bytes[..HEADER_LENGTH].copy_from_slice(&header.encode());
    bytes[HEADER_LENGTH] = record_type;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_and_written_are_the_same() {
        let table: &[(RecordHeader, [u8; 8])] = &[
            (
                RecordHeader {
                    record_type: RecordType::BeginRequest,
                    request_id: 1,
                    content_length: 8,
                    padding_length: 0,
                },
                [1, 1, 0, 1, 0, 8, 0, 0],
            ),
            (
                RecordHeader {
                    record_type: RecordType::Stdin,
                    request_id: 0x1234,
                    content_length: 0xffff,
                    padding_length: 255,
                },
                [1, 5, 0x12, 0x34, 0xff, 0xff, 255, 0],
            ),
            (
                RecordHeader {
                    record_type: RecordType::Other(200),
                    request_id: 0,
                    content_length: 0,
                    padding_length: 3,
                },
                [1, 200, 0, 0, 0, 0, 3, 0],
            ),
        ];
        for (header, bytes) in table {
            assert_eq!(header.encode(), *bytes);
            assert_eq!(RecordHeader::decode(*bytes), Ok(*header));
        }
    }

    #[test]
    fn every_type_and_role_number_survives_the_way_there_and_back() {
        for number in 0..=u8::MAX {
            assert_eq!(u8::from(RecordType::from(number)), number);
        }
        for number in 0..=u16::MAX {
            assert_eq!(u16::from(Role::from(number)), number);
        }
    }

    #[test]
    fn a_reserved_byte_is_ignored_and_another_version_is_refused() {
        assert!(RecordHeader::decode([1, 5, 0, 1, 0, 0, 0, 77]).is_ok());
        assert_eq!(RecordHeader::decode([0, 5, 0, 1, 0, 0, 0, 0]), Err(VersionError(0)));
        assert_eq!(RecordHeader::decode([2, 5, 0, 1, 0, 0, 0, 0]), Err(VersionError(2)));
    }

    #[test]
    fn padding_fills_up_to_eight_bytes() {
        for (content, padding) in [(0, 0), (1, 7), (7, 1), (8, 0), (65_528, 0), (65_535, 1)] {
            let header = RecordHeader::padded(RecordType::Stdout, 1, content);
            assert_eq!((content, header.padding_length), (content, padding));
        }
    }

    #[test]
    fn begin_request_bodies_read_and_written_are_the_same() {
        let table = [
            (BeginRequest { role: Role::Responder, keep_conn: true }, [0, 1, 1, 0, 0, 0, 0, 0]),
            (BeginRequest { role: Role::Authorizer, keep_conn: false }, [0, 2, 0, 0, 0, 0, 0, 0]),
            (BeginRequest { role: Role::Other(0x0400), keep_conn: false }, [4, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (begin, bytes) in table {
            assert_eq!(begin.encode(), bytes);
            assert_eq!(BeginRequest::decode(bytes), begin);
        }
        assert!(BeginRequest::decode([0, 1, 0xff, 9, 9, 9, 9, 9]).keep_conn, "unknown flags are ignored");
    }

    #[test]
    fn the_records_that_end_a_request_and_refuse_a_type_are_as_the_specification_draws_them() {
        let end = end_request(0x0102, ProtocolStatus::UnknownRole);
        assert_eq!(end, [1, 3, 1, 2, 0, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(unknown_type(77), [1, 11, 0, 0, 0, 8, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]);
    }
}
