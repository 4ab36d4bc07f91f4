//! Both halves of TLS 1.3: raw Ed25519 public keys (RFC 7250) instead of certificates.
//!
//! Who connects pins the other's key; who listens asks a [`KeyCheck`]. No 0-RTT, no session
//! tickets: every connection proves both keys anew.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme, version,
};

/// This machine's clock for TLS, which asks it for nothing that is used here: raw keys have no
/// validity and no tickets are given out. The library's own clock panics before 1970.
#[derive(Debug)]
struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Some(UnixTime::since_unix_epoch(since.unwrap_or_default()))
    }
}

/// DER of an Ed25519 public key up to its 32 bytes (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// DER of an Ed25519 secret key up to its 32 bytes (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The TLS library refuses a key or a setting.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum TlsError {
    /// The secret key cannot be loaded.
    #[error("TLS refuses the key of this side ({0}): make a new key pair")]
    Key(Error),
    /// The secret key gives no public one.
    #[error("TLS finds no public key to the key of this side: make a new Ed25519 key pair")]
    NoPublicKey,
    /// The protocol version or cipher suites cannot be set.
    #[error("TLS 1.3 with AES-128-GCM cannot be set up ({0}): this build lacks it")]
    Setup(Error),
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes; repair its random source, then try again")]
    NoRandomness,
}

/// Decides which keys may connect.
pub trait KeyCheck: Send + Sync + 'static {
    /// Whether a connection by the holder of this key may go on.
    fn admits(&self, public_key: &[u8; 32]) -> bool;
}

/// The half that connects: proves the key of the secret `seed` (RFC 8032), accepts the side with
/// `server_key` alone, asks for `protocol`.
///
/// # Errors
/// When TLS refuses the key.
pub fn client_tls(
    seed: &[u8; 32],
    server_key: [u8; 32],
    protocol: &[u8],
) -> Result<QuicClientConfig, TlsError> {
    let provider = Arc::new(provider());
    let own = certified_key(&provider, seed)?;
    let verifier = ServerKey {
        pinned: spki(&server_key),
        provider: Arc::clone(&provider),
    };
    let mut config = rustls::ClientConfig::builder_with_details(provider, Arc::new(WallClock))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(
            rustls::client::AlwaysResolvesClientRawPublicKeys::new(own),
        ));
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    Ok(QuicClientConfig::try_from(config).expect("the provider has the initial cipher suite"))
}

/// The half that listens: proves the key of the secret `seed`, accepts the keys that `clients`
/// admits, speaks `protocol` alone.
///
/// # Errors
/// When TLS refuses the key.
pub fn server_tls(
    seed: &[u8; 32],
    clients: Arc<dyn KeyCheck>,
    protocol: &[u8],
) -> Result<QuicServerConfig, TlsError> {
    let provider = Arc::new(provider());
    let own = certified_key(&provider, seed)?;
    let verifier = ClientKey {
        clients,
        provider: Arc::clone(&provider),
    };
    let mut config = rustls::ServerConfig::builder_with_details(provider, Arc::new(WallClock))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(
            rustls::server::AlwaysResolvesServerRawPublicKeys::new(own),
        ));
    config.alpn_protocols = vec![protocol.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(QuicServerConfig::try_from(config).expect("the provider has the initial cipher suite"))
}

/// The key that the other side of a connection proved, after the handshake.
#[must_use]
pub fn peer_key(connection: &quinn::Connection) -> Option<[u8; 32]> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    key_of(chain.first()?)
}

/// Fills `bytes` from the operating system's randomness.
///
/// # Errors
/// When it gives none.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), TlsError> {
    let random = aws_lc_rs::default_provider().secure_random;
    random.fill(bytes).map_err(|_| TlsError::NoRandomness)
}

/// AES-128-GCM first: it is the cheapest here and the suite of QUIC's initial packets.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    }
}

fn spki(public_key: &[u8; 32]) -> Vec<u8> {
    [&SPKI_PREFIX[..], public_key].concat()
}

fn key_of(end_entity: &CertificateDer<'_>) -> Option<[u8; 32]> {
    end_entity.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

fn certified_key(
    provider: &CryptoProvider,
    seed: &[u8; 32],
) -> Result<Arc<CertifiedKey>, TlsError> {
    let pkcs8 = [&PKCS8_PREFIX[..], seed].concat();
    let secret = PrivatePkcs8KeyDer::from(pkcs8);
    let secret = provider.key_provider.load_private_key(secret.into());
    let secret = secret.map_err(TlsError::Key)?;
    let public = secret.public_key().ok_or(TlsError::NoPublicKey)?;
    let public = CertificateDer::from(public.as_ref().to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![public], secret)))
}

fn verify_signature(
    provider: &CryptoProvider,
    message: &[u8],
    end_entity: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = &provider.signature_verification_algorithms;
    let key = SubjectPublicKeyInfoDer::from(end_entity.as_ref());
    verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
}

/// TLS 1.2 is not offered, so its signatures never come.
fn no_tls12() -> Error {
    Error::General("TLS 1.2 is not spoken here".to_owned())
}

/// What both halves say about signatures of a handshake: TLS 1.3 by raw Ed25519 keys alone. Two
/// traits of the TLS library ask for the same four functions.
macro_rules! raw_key_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(no_tls12())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_signature(&self.provider, message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

/// Accepts the one key that this side was told.
#[derive(Debug)]
struct ServerKey {
    pinned: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ServerKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if end_entity.as_ref() == self.pinned && intermediates.is_empty() {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    raw_key_signatures!();
}

/// Accepts the keys of clients that may connect.
struct ClientKey {
    clients: Arc<dyn KeyCheck>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey")
    }
}

impl ClientCertVerifier for ClientKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let key = key_of(end_entity).ok_or(CertificateError::BadEncoding)?;
        if intermediates.is_empty() && self.clients.admits(&key) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    raw_key_signatures!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_wrapping_and_nothing_else_does() {
        let wrapped = spki(&[7; 32]);
        assert_eq!(
            key_of(&CertificateDer::from(wrapped.clone())),
            Some([7; 32])
        );
        for cut in [
            &wrapped[1..],
            &wrapped[..43],
            &[&wrapped[..], &[0]].concat(),
        ] {
            assert_eq!(key_of(&CertificateDer::from(cut.to_vec())), None);
        }
    }

    /// RFC 8032, section 7.1, TEST 1.
    #[test]
    fn the_public_key_of_a_secret_is_the_one_of_rfc_8032() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let own = certified_key(&provider(), &bytes(seed)).unwrap();
        assert_eq!(key_of(&own.cert[0]), Some(bytes(public)));
    }

    fn bytes(hex: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn two_random_fills_differ() {
        let (mut a, mut b) = ([0; 16], [0; 16]);
        fill_random(&mut a).unwrap();
        fill_random(&mut b).unwrap();
        assert_ne!(a, b);
    }
}
