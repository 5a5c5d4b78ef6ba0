"""A certificate that is brought along: what ACM would refuse to import, or browsers to believe."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from checks.variables import Problem, Rules

rule = Rules()


@rule(
    "aws_edge_tls",
    "aws_edge_domain",
    "aws_edge_certificate_file",
    "aws_edge_certificate_key_file",
    "aws_edge_certificate_chain_file",
)
def certificate(tls: str, name: str, leaf: str, key: str, chain: str) -> Iterator[Problem]:
    """What ACM would refuse to import, or browsers to believe."""
    given = {
        "aws_edge_certificate_file": leaf,
        "aws_edge_certificate_key_file": key,
        "aws_edge_certificate_chain_file": chain,
    }
    if tls != "imported":
        for variable, path in given.items():
            if path:
                yield Problem(variable, f"must be empty with aws_edge_tls: {tls}", "Remove it, or use imported.")
        return
    content = {}
    for variable, path in given.items():
        if not path and variable != "aws_edge_certificate_chain_file":
            yield Problem(variable, "must be set with aws_edge_tls: imported", "Name a file in PEM.")
        elif path and not Path(path).is_absolute():
            mend = f'Write e.g. "{{{{ inventory_dir }}}}/{path}".'
            yield Problem(variable, "must be a whole path: Ansible looks for others in many places", mend)
        elif path and not Path(path).is_file():
            yield Problem(variable, "must be a file on this machine", "Correct the path.")
        elif path:
            content[variable] = Path(path).read_bytes()
    try:
        leaves = x509.load_pem_x509_certificates(content["aws_edge_certificate_file"])
    except KeyError:
        return
    except ValueError:
        yield Problem(
            "aws_edge_certificate_file", "must be a certificate in PEM", "It begins with -----BEGIN CERTIFICATE."
        )
        return
    yield from leaf_certificate(leaves, name)
    if "aws_edge_certificate_chain_file" in content:
        yield from chain_certificates(leaves[0], content["aws_edge_certificate_chain_file"])
    if "aws_edge_certificate_key_file" in content:
        yield from private_key(leaves[0], content["aws_edge_certificate_key_file"])


def leaf_certificate(leaves: Sequence[x509.Certificate], domain_name: str) -> Iterator[Problem]:
    """One certificate, for the domain, of a kind that load balancers take, and not expired."""
    variable, first = "aws_edge_certificate_file", leaves[0]
    if len(leaves) > 1:
        mend = "Put the others into aws_edge_certificate_chain_file."
        yield Problem(variable, f"must have one certificate, not {len(leaves)} (ACM, ImportCertificate)", mend)
    now = datetime.datetime.now(datetime.UTC)
    if not first.not_valid_before_utc <= now < first.not_valid_after_utc:
        ends = f"{first.not_valid_before_utc:%Y-%m-%d} to {first.not_valid_after_utc:%Y-%m-%d}"
        yield Problem(variable, f"must be valid now; it is valid from {ends}", "Renew it.")
    try:
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except x509.ExtensionNotFound:
        names = []
    if domain_name and domain_name not in names and f"*.{domain_name.partition('.')[2]}" not in names:
        told = ", ".join(names) or "no name"
        yield Problem(
            variable,
            f"must be for {domain_name} (aws_edge_domain); it is for {told}",
            "Correct aws_edge_domain, or get a certificate for it.",
        )
    public = first.public_key()
    strong = (isinstance(public, rsa.RSAPublicKey) and 2048 <= public.key_size <= 4096) or (
        isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in ("secp256r1", "secp384r1")
    )
    if not strong:
        yield Problem(
            variable,
            "must have a key of RSA with 2048 to 4096 bits, or of the curve P-256 or P-384 (Elastic Load Balancing, "
            "HTTPS listeners)",
            "Have it issued for such a key.",
        )


def chain_certificates(first: x509.Certificate, text: bytes) -> Iterator[Problem]:
    """Each is issued by the one after it."""
    variable = "aws_edge_certificate_chain_file"
    try:
        path = [first, *x509.load_pem_x509_certificates(text)]
    except ValueError:
        yield Problem(variable, "must be certificates in PEM", "Each begins with -----BEGIN CERTIFICATE.")
        return
    for lower, upper in pairwise(path):
        if lower.issuer != upper.subject:
            yield Problem(
                variable,
                f"must lead from the certificate upwards: {upper.subject.rfc4514_string()} has not issued "
                f"{lower.subject.rfc4514_string()}",
                "Order it, without the certificate itself.",
            )
            return


def private_key(first: x509.Certificate, text: bytes) -> Iterator[Problem]:
    """The certificate's own, without a password."""
    variable = "aws_edge_certificate_key_file"
    try:
        key = load_pem_private_key(text, None)
    except TypeError:
        yield Problem(
            variable, "must have no password (ACM, ImportCertificate)", "Take it off: openssl pkey -in … -out …"
        )
        return
    except (ValueError, UnsupportedAlgorithm):
        yield Problem(variable, "must be a private key in PEM", "It begins with -----BEGIN PRIVATE KEY.")
        return

    def shape(public: Any) -> bytes:
        encoded: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return encoded

    if shape(key.public_key()) != shape(first.public_key()):
        yield Problem(variable, "must be the key of aws_edge_certificate_file", "Name the key that belongs to it.")
