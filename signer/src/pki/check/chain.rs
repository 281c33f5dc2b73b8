//! Whether an authority vouches for a certificate, asked of the library that the service asks.

use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::clock::Timestamp;

/// Checks the chain for each of the two purposes that the leaf names; the error is a sentence.
pub(super) fn verify(
    chain: &[CertificateDer<'_>],
    authorities: &[u8],
    purposes: &[String],
    now: Timestamp,
) -> Result<(), String> {
    let authorities: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(authorities)
        .collect::<Result<_, _>>()
        .map_err(|_| "the PEM text of the authority is damaged".to_owned())?;
    let anchors: Vec<TrustAnchor<'_>> = authorities
        .iter()
        .map(webpki::anchor_from_trusted_cert)
        .collect::<Result<_, _>>()
        .map_err(|_| "the file of the authority holds a certificate that is none".to_owned())?;
    if anchors.is_empty() {
        return Err("the file of the authority holds no certificate".to_owned());
    }
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err("there is no certificate".to_owned());
    };
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| explain(&error))?;
    let seconds = u64::try_from(now.unix()).unwrap_or_default();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let usages = [
        ("clientAuth", KeyUsage::client_auth()),
        ("serverAuth", KeyUsage::server_auth()),
    ];
    for (name, usage) in usages {
        if purposes.iter().any(|purpose| purpose == name) {
            leaf.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                intermediates,
                time,
                usage,
                None,
                None,
            )
            .map_err(|error| explain(&error))?;
        }
    }
    Ok(())
}

fn explain(error: &webpki::Error) -> String {
    match error {
        webpki::Error::UnknownIssuer => {
            "the given authority did not sign it: compare its issuer with the authority's subject, \
             or look whether the authority was made anew"
                .to_owned()
        }
        webpki::Error::InvalidSignatureForPublicKey => {
            "it names the given authority, and another key signed it: the authority was made anew"
                .to_owned()
        }
        webpki::Error::CertExpired { .. } => "a certificate of the chain has ended".to_owned(),
        webpki::Error::CertNotValidYet { .. } => {
            "a certificate of the chain is not valid yet".to_owned()
        }
        webpki::Error::CaUsedAsEndEntity => {
            "it is an authority's own certificate, which nobody accepts from a peer".to_owned()
        }
        other => format!("the chain is refused: {other}"),
    }
}
