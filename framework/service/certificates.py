"""The certificate authority of a secured cluster, and the certificates that it gives to nodes.

Each cluster has an authority of its own, so nobody of one cluster can pose as a node of another.
Keys are ECDSA on P-256. The authority lives as long as a cluster may; a node's certificate is made
at each of its starts and is stored nowhere.
"""
from __future__ import annotations

import ipaddress
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 20 * 365
# Before the moment of issue, for agents whose clocks are behind.
EARLY = timedelta(hours=1)
PASSWORD_CHARS = 32
PEOPLE_USER = "elastic"             # Elasticsearch's own first user
SERVICE_USER = "esaas"              # in a file of each node (executor/security.py)
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Authority:
    """What a secured cluster is made of: PEM texts, and passwords of two users of Elasticsearch."""

    certificate: str
    key: str = field(repr=False)
    password: str = field(repr=False)           # of elastic, for people
    service_password: str = field(repr=False)   # of esaas, for this service and the executors


@dataclass(frozen=True, slots=True)
class NodeCertificate:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def make_authority(cluster: str, uid: str, now: float) -> Authority:
    """A new authority and new passwords; ``now``: seconds since the epoch."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{cluster} certificate authority", uid)
    public, at = key.public_key(), datetime.fromtimestamp(now, UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    built = (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number())
        .not_valid_before(at - EARLY).not_valid_after(at + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256()))
    return Authority(built.public_bytes(serialization.Encoding.PEM).decode(), _pem(key).decode(),
                     _password(), _password())


def issue(authority: Authority, node: str, names: Sequence[str], days: int,
          now: float) -> NodeCertificate:
    """A certificate with a new key for a node.

    ``names``: host names and addresses that it is reached by; ``days``: its life, cut at the
    authority's own end.
    """
    signer = serialization.load_pem_private_key(authority.key.encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey), "authorities have keys on a curve"
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    key = ec.generate_private_key(ec.SECP256R1())
    at = datetime.fromtimestamp(now, UTC)
    built = (
        x509.CertificateBuilder(issuer.subject, _name(node), key.public_key(),
                                x509.random_serial_number())
        .not_valid_before(max(at - EARLY, issuer.not_valid_before_utc))
        .not_valid_after(min(at + timedelta(days=days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        # Nodes are servers and clients of each other.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH,
                                              ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(item) for item in names]),
                       critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
                       critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                       critical=False)
        .sign(signer, hashes.SHA256()))
    return NodeCertificate(built.public_bytes(serialization.Encoding.PEM), _pem(key))


def _name(common: str, unit: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common[:64])]
    if unit:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(parts)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False,
        decipher_only=False)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_CHARS))
