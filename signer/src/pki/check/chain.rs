//! Whether an authority vouches for a certificate, asked of the library that the service asks.

use std::time::Duration;

use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509StoreContext};
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

/// Checks the certificates of authorities, all of a file, against the ones that are trusted.
///
/// webpki judges peers, and no peer shows an authority's certificate; OpenSSL judges both.
pub(super) fn verify_authorities(
    certificates: &[CertificateDer<'_>],
    authorities: &[u8],
    now: Timestamp,
) -> Result<(), String> {
    let damaged = |_| "a certificate of an authority is damaged".to_owned();
    let mut trusted = X509StoreBuilder::new().map_err(damaged)?;
    for authority in X509::stack_from_pem(authorities).map_err(damaged)? {
        trusted.add_cert(authority).map_err(damaged)?;
    }
    // Whoever names an intermediate authority trusts it, whoever issued that.
    let mut rules = X509VerifyParam::new().map_err(damaged)?;
    rules
        .set_flags(X509VerifyFlags::PARTIAL_CHAIN)
        .map_err(damaged)?;
    rules.set_time(now.unix());
    trusted.set_param(&rules).map_err(damaged)?;
    let trusted = trusted.build();
    let mut others = Stack::new().map_err(damaged)?;
    let certificates: Vec<X509> = certificates
        .iter()
        .map(|der| X509::from_der(der))
        .collect::<Result<_, _>>()
        .map_err(damaged)?;
    for certificate in &certificates {
        others.push(certificate.clone()).map_err(damaged)?;
    }
    for certificate in &certificates {
        let mut context = X509StoreContext::new().map_err(damaged)?;
        let verdict = context
            .init(&trusted, certificate, &others, |context| {
                let good = context.verify_cert()?;
                Ok((!good).then(|| context.error().error_string().to_owned()))
            })
            .map_err(damaged)?;
        if let Some(why) = verdict {
            return Err(format!(
                "the given authority does not vouch for this one, {}: {why}",
                super::printable(&format!("{:?}", certificate.subject_name()))
            ));
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
