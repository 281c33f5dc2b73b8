//! The paths of the API, and which of them a request is for.
//!
//! The router finds that out too, but too late: a request that is turned away before it gets there
//! is counted as well.

pub(super) const AUDIT: &str = "/v1/audit";
pub(super) const MASTERS: &str = "/v1/masters";
pub(super) const MASTER: &str = "/v1/masters/{id}";
pub(super) const STATEMENTS: &str = "/v1/masters/{id}/statements";
/// One signature, the path that masters use.
pub const SIGNATURE: &str = "/v1/signatures/{sha256}";
pub(super) const SIGNING_KEYS: &str = "/v1/signing-keys";
pub(super) const SIGNING_KEY: &str = "/v1/signing-keys/{kid}";
pub(super) const PUBLIC_PEM: &str = "/v1/signing-keys/{kid}/public.pem";

/// The pattern that a request's path fits, or `unknown`: a label for metrics, of which there are
/// few whatever callers send.
#[must_use]
pub fn of(path: &str) -> &'static str {
    let fits = |pattern: &&&str| {
        let mut segments = path.split('/');
        let all = pattern.split('/').all(|expected| {
            let segment = segments.next();
            segment.is_some_and(|segment| {
                segment == expected || (expected.starts_with('{') && !segment.is_empty())
            })
        });
        all && segments.next().is_none()
    };
    ALL.iter().find(fits).copied().unwrap_or("unknown")
}

/// What follows in the path of one signature.
pub(super) fn signature(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/v1/signatures/")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// The busiest first.
const ALL: [&str; 8] = [
    SIGNATURE,
    MASTERS,
    MASTER,
    STATEMENTS,
    SIGNING_KEYS,
    SIGNING_KEY,
    PUBLIC_PEM,
    AUDIT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_pattern_and_a_stranger_none() {
        for (path, pattern) in [
            ("/v1/signatures/ab", SIGNATURE),
            ("/v1/masters", MASTERS),
            ("/v1/masters/a.b", MASTER),
            ("/v1/masters/a.b/statements", STATEMENTS),
            ("/v1/signing-keys/ab/public.pem", PUBLIC_PEM),
            ("/v1/signatures/", "unknown"),
            ("/v1/signatures", "unknown"),
            ("/v1/signatures/ab/c", "unknown"),
            ("/", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(of(path), pattern, "{path}");
            assert_eq!(signature(path).is_some(), pattern == SIGNATURE, "{path}");
        }
    }

    #[test]
    fn every_documented_path_is_known() {
        let document: serde_json::Value =
            serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let documented: Vec<_> = paths
            .keys()
            .filter(|path| path.starts_with("/v1/"))
            .collect();
        assert_eq!(documented.len(), ALL.len());
        for path in documented {
            assert_eq!(of(path), path);
        }
    }
}
