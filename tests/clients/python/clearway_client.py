#!/usr/bin/env python3
"""A client of Clearway in Python, written from deploy/PROTOCOL.md alone.

It reads a genesis, makes and signs a payment that `clearway submit FILE` sends as it is, reads
the answer, and checks the proof that the payment is final. Beside Python 3.11 it needs the
packages of requirements.txt. What is wrong ends with code 1 and a line that says it.
"""

import argparse
import json
import os
import secrets
import sys
import time
import tomllib
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256 as sha256_of
from pathlib import Path

from blake3 import blake3

ENVELOPE_BYTES = 192
BODY_BYTES = 128
TRANSFER = 0x01
SCHEMA_VERSION = 1
PROOF_VERSION = 1
PROTOCOL_VERSION = 2
VALIDATORS_MAX = 128
PROOF_PATH_MAX = 32
PROOF_LINKS_MAX = 256
PROOF_MANIFESTS_MAX = 256
MANIFEST_BYTES_MAX = 131_072
MANIFEST_BATCHES_MAX = 2048

ENVELOPE_LEAF, RECEIPT_LEAF, TREE_ROOT, MANIFEST, EXEC_HEAD = 0x00, 0x02, 0x03, 0x05, 0x06
GENESIS, VALIDATOR_SET = 0x0A, 0x0D

VOTE_DST = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION_DST = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
VOTE_NAMESPACE = b"clearway/1 vote "
POSSESSION_NAMESPACE = b"clearway/1 validator key"

DUPLICATE, TRANSIENT = 1, 2
# Codes that use an identifier up, both ends included; what is between them is no code.
USED_UP = [(0, 1), (65, 65), (70, 78), (80, 94), (100, 106), (108, 110), (120, 124), (130, 132)]


class Wrong(Exception):
    """What is wrong with a file, a signature or a proof."""


def sha256(*parts: bytes) -> bytes:
    return sha256_of(b"".join(parts)).digest()


def number(value: int, size: int) -> bytes:
    """A number as it is written everywhere: little-endian in `size` bytes."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 8 * size:
        raise Wrong(f"{value!r} is no whole number below 2^{8 * size}")
    return value.to_bytes(size, "little")


def is_decimal(written: str) -> bool:
    """Whether it is digits, 0 to 9 alone: other scripts have some that `int` takes too."""
    return written.isascii() and written.isdecimal()


def varint(value: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first, the top bit set on all but the last."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """Reads fields one after the other and refuses a record that is cut or too long."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        field = self.data[self.at : self.at + size]
        if len(field) != size:
            raise Wrong(f"the record ends at byte {self.at}, inside a field")
        self.at += size
        return field

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def count(self, most: int, what: str) -> int:
        count = self.number(4)
        if count > most:
            raise Wrong(f"{count} {what}, at most {most} are allowed")
        return count

    def end(self) -> None:
        if self.at != len(self.data):
            raise Wrong(f"{len(self.data) - self.at} bytes follow the record")


# Genesis.


def hexadecimal(text: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise Wrong(f"{text!r} is not hexadecimal") from error
    if len(value) != size or len(text) != 2 * size:
        raise Wrong(f"{text!r} is not {size} bytes in hexadecimal")
    return value


def text(value: str) -> bytes:
    if not isinstance(value, str):
        raise Wrong(f"{value!r} is no text")
    encoded = value.encode()
    return number(len(encoded), 8) + encoded


def table(value: dict, needed: list[str], optional: dict) -> dict:
    """A table with these fields and no others; absent ones have their default."""
    if not isinstance(value, dict):
        raise Wrong(f"{value!r} is no table")
    missing = [name for name in needed if name not in value]
    unknown = [name for name in value if name not in needed and name not in optional]
    if missing or unknown:
        raise Wrong(f"fields missing: {missing}, fields unknown: {unknown}")
    return optional | value


def tables(value: list, needed: list[str], optional: dict) -> list[dict]:
    if not isinstance(value, list):
        raise Wrong(f"{value!r} is no list of tables")
    return [table(row, needed, optional) for row in value]


@dataclass
class Validator:
    number: int
    name: str
    public_key: bytes
    bls_public_key: bytes
    bls_proof: bytes


def toml_of(path: Path) -> dict:
    """A TOML file as its bytes stand: `read_text` would take a CR alone for the end of a line."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Wrong(f"{path}: {error}") from error


ROLES = {"member": 0, "operator": 1, "auditor": 2}
ACCOUNTS_HEADER = "id,ledger,balance,credit_line"


class Genesis:
    def __init__(self, path: Path):
        optional = {"rules": {}, "ledgers": [], "accounts": [], "accounts_file": None}
        file = table(toml_of(path), ["name", "time", "validators", "participants"], optional)
        defaults = {"ttl_s_max": 60, "return_window_s": 60, "operator_threshold": 1}
        self.name, self.time = file["name"], file["time"]
        self.rules = table(file["rules"], [], defaults)
        needed = ["number", "name", "members_address", "public_key", "bls_public_key", "bls_proof"]
        validators = tables(file["validators"], needed, {"peer_address": ""})
        self.validators = [self.validator(row) for row in validators]
        defaults = {"sponsor": 0, "lei": "", "bic": ""}
        needed = ["id", "role", "public_key"]
        self.participants = tables(file["participants"], needed, defaults)
        needed = ["id", "code", "exponent", "issuer", "issuer_account"]
        self.ledgers = tables(file["ledgers"], needed, {})
        defaults = {"balance": 0, "credit_line": 0}
        self.accounts = tables(file["accounts"], ["id", "ledger"], defaults)
        accounts_file = file["accounts_file"]
        if accounts_file is not None:
            if not isinstance(accounts_file, str):
                raise Wrong(f"{path}: accounts_file is {accounts_file!r}, which is no text")
            self.accounts += self.accounts_of(path.parent / accounts_file)
        self.hash = blake3(bytes([GENESIS]) + self.canonical()).digest()
        self.tag = blake3(b"clearway/1" + self.hash).digest()[:16]

    @staticmethod
    def validator(row: dict) -> Validator:
        return Validator(
            row["number"],
            row["name"],
            hexadecimal(row["public_key"], 32),
            hexadecimal(row["bls_public_key"], 96),
            hexadecimal(row["bls_proof"], 48),
        )

    @staticmethod
    def accounts_of(path: Path) -> list[dict]:
        try:
            lines = path.read_bytes().decode("ascii").split("\n")
        except ValueError as error:
            raise Wrong(f"{path}: {error}") from error
        lines = [line.removesuffix("\r") for line in lines]
        if lines[0] != ACCOUNTS_HEADER:
            raise Wrong(f"{path}: the first line is not {ACCOUNTS_HEADER}")
        names = ACCOUNTS_HEADER.split(",")
        rows = [line.split(",") for line in lines[1:] if line]
        for row in rows:
            if len(row) != len(names) or not all(map(is_decimal, row)):
                raise Wrong(f"{path}: {row} is not four whole numbers")
        return [dict(zip(names, map(int, row), strict=True)) for row in rows]

    def canonical(self) -> bytes:
        rules = [self.rules[r] for r in ("ttl_s_max", "return_window_s", "operator_threshold")]
        out = [text(self.name), number(self.time, 8), *(number(rule, 4) for rule in rules)]
        out.append(number(len(self.validators), 8))
        for one in self.validators:
            out += [number(one.number, 4), text(one.name)]
            out += [one.public_key, one.bls_public_key, one.bls_proof]
        out.append(number(len(self.participants), 8))
        for one in self.participants:
            if not isinstance(one["role"], str) or one["role"] not in ROLES:
                raise Wrong(f"{one['role']!r} is no role")
            out += [number(one["id"], 4), number(ROLES[one["role"]], 1)]
            out += [number(one["sponsor"], 4), text(one["lei"]), text(one["bic"])]
            out.append(hexadecimal(one["public_key"], 32))
        out.append(number(len(self.ledgers), 8))
        for one in self.ledgers:
            out += [number(one["id"], 4), text(one["code"]), number(one["exponent"], 1)]
            out += [number(one["issuer"], 4), number(one["issuer_account"], 8)]
        out.append(number(len(self.accounts), 8))
        for one in self.accounts:
            out += [number(one["id"], 8), number(one["ledger"], 4)]
            out += [number(one["balance"], 8), number(one["credit_line"], 8)]
        return b"".join(out)

    def validator_set(self) -> bytes:
        """Digest of the validators of epoch 0, which manifests name."""
        keys = [number(v.number, 4) + v.public_key + v.bls_public_key for v in self.validators]
        return sha256(bytes([VALIDATOR_SET]), *keys)


# Envelopes.


def account(written: str) -> int:
    owner, point, place = written.partition(".")
    if not point or not is_decimal(owner) or not is_decimal(place):
        raise Wrong(f"{written!r} is no account; write owner.number, for example 2.1")
    return int.from_bytes(number(int(place), 4) + number(int(owner), 4), "little")


def minor_units(written: str, exponent: int) -> int:
    whole, point, decimals = written.partition(".")
    good = is_decimal(whole) and (is_decimal(decimals) if point else True)
    if not good or len(decimals) > exponent:
        raise Wrong(f"{written!r} is no amount with at most {exponent} decimals")
    return int(whole + decimals.ljust(exponent, "0"))


def new_id() -> bytes:
    """Milliseconds, a sequence number that is not needed here, random bytes, place in a chain."""
    milliseconds = time.time_ns() // 1_000_000
    return milliseconds.to_bytes(6, "big") + bytes(2) + secrets.token_bytes(7) + bytes(1)


def load_key(path: Path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        file = toml_of(path)
    except Wrong as error:
        raise Wrong(f"{error}; encrypted key files are not read here") from error
    file = table(file, ["format", "kind", "seed"], {})
    if (file["format"], file["kind"]) != (1, "member"):
        raise Wrong(f"{path} is no member's key of format 1")
    return Ed25519PrivateKey.from_private_bytes(hexadecimal(file["seed"], 32))


def pay(genesis: Genesis, key, debit: int, credit: int, amount: str, slot: int) -> bytes:
    """A signed TRANSFER that lives for half of the longest time that the cluster allows."""
    ledger = next((one["ledger"] for one in genesis.accounts if one["id"] == debit), None)
    found = [one for one in genesis.ledgers if one["id"] == ledger]
    if not found:
        raise Wrong("the debited account is not one of the genesis, so its ledger is not known")
    fields = [
        number(debit, 8),
        number(credit, 8),
        number(minor_units(amount, found[0]["exponent"]), 8),
        bytes(72),
    ]
    header = [
        number(debit >> 32, 4),
        number(int(time.time()) + max(1, genesis.rules["ttl_s_max"] // 2), 4),
        number(ledger, 4),
        number(TRANSFER, 1),
        number(SCHEMA_VERSION, 1),
        number(slot << 10, 2),
    ]
    body = new_id() + b"".join(fields) + b"".join(header)
    assert len(body) == BODY_BYTES
    return body + key.sign(genesis.tag + body)


def envelope_of(path: Path) -> bytes:
    envelope = path.read_bytes()
    if len(envelope) != ENVELOPE_BYTES:
        raise Wrong(f"{path}: {len(envelope)} bytes, an envelope has {ENVELOPE_BYTES}")
    return envelope


def answer_of(envelope: bytes, lines: str) -> dict:
    """The answer to an envelope among the lines that `clearway submit --json` wrote."""
    try:
        answers = [json.loads(line) for line in lines.splitlines() if line.strip()]
    except ValueError as error:
        raise Wrong(f"the answer is not one JSON object a line: {error}") from error
    name = (envelope[:16].hex(), int.from_bytes(envelope[112:116], "little"))
    for answer in answers:
        is_answer = isinstance(answer, dict) and answer.get("schema") == "clearway/answer/1"
        if is_answer and (answer.get("id"), answer.get("signer")) == name:
            return answer
    raise Wrong(f"there is no answer to {name[0]} of participant {name[1]}")


# Proofs.


@dataclass
class Proof:
    envelope: bytes
    height: int
    index: int
    outcome: bytes
    receipt_count: int
    path: list[bytes]
    previous_head: bytes
    links: list[tuple[bytes, bytes | None]]
    manifests: list[bytes]
    certificate: "Certificate"

    @classmethod
    def read(cls, data: bytes) -> "Proof":
        reader = Reader(data)
        version = reader.number(1)
        if version != PROOF_VERSION:
            raise Wrong(f"proof of version {version}, this client reads {PROOF_VERSION}")
        envelope = reader.take(ENVELOPE_BYTES)
        height, index, outcome = reader.number(8), reader.number(4), reader.take(4)
        receipt_count = reader.number(8)
        path = [reader.take(32) for _ in range(reader.count(PROOF_PATH_MAX, "path digests"))]
        previous_head = reader.take(32)
        links = [read_link(reader) for _ in range(reader.count(PROOF_LINKS_MAX, "links"))]
        manifests = []
        for _ in range(reader.count(PROOF_MANIFESTS_MAX, "manifests")):
            manifests.append(reader.take(reader.count(MANIFEST_BYTES_MAX, "manifest bytes")))
        certificate = Certificate.read(reader)
        reader.end()
        parts = (envelope, height, index, outcome, receipt_count, path, previous_head)
        return cls(*parts, links, manifests, certificate)


def read_link(reader: Reader) -> tuple[bytes, bytes | None]:
    root, has_state = reader.take(32), reader.number(1)
    if has_state > 1:
        raise Wrong("a link says neither that it has a state root nor that it has none")
    return root, reader.take(32) if has_state else None


@dataclass
class Certificate:
    epoch: int
    view: int
    parent_view: int
    payload: bytes
    validator_count: int
    signers: list[int]
    signature: bytes

    @classmethod
    def read(cls, reader: Reader) -> "Certificate":
        epoch, view, parent_view = (reader.number(8) for _ in range(3))
        payload, count = reader.take(32), reader.number(2)
        if not 1 <= count <= VALIDATORS_MAX:
            raise Wrong(f"certificate of {count} validators")
        bits = reader.number((count + 7) // 8)
        if bits >> count:
            raise Wrong("the certificate has signers beyond the last validator")
        signers = [index for index in range(count) if bits >> index & 1]
        return cls(epoch, view, parent_view, payload, count, signers, reader.take(48))


@dataclass
class Manifest:
    epoch: int
    validators: bytes
    height: int
    parent: bytes
    state_height: int
    exec_head: bytes

    @classmethod
    def read(cls, data: bytes) -> "Manifest":
        reader = Reader(data)
        version = reader.number(4)
        if version != PROTOCOL_VERSION:
            raise Wrong(f"manifest of protocol {version}, this client reads {PROTOCOL_VERSION}")
        epoch, validators, height = reader.number(8), reader.take(32), reader.number(8)
        parent, _time, _leader = reader.take(32), reader.take(8), reader.take(4)
        state_height, exec_head = reader.number(8), reader.take(32)
        for _ in range(reader.count(MANIFEST_BATCHES_MAX, "batches")):
            owner, incarnation = reader.number(4), reader.number(4)
            if owner == 0 or incarnation == 0:
                raise Wrong("a manifest names lane 0")
            reader.take(4 + 8 + 32)
        reader.end()
        return cls(epoch, validators, height, parent, state_height, exec_head)


def tree_root(count: int, index: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root of a tree of `count` leaves whose leaf `index` is this one."""
    if index >= count:
        raise Wrong("the receipt lies beyond the last leaf of its tree")
    node, place, last, siblings = leaf, index, count - 1, iter(path)
    while last > 0:
        carried = place == last and place % 2 == 0
        if not carried:
            sibling = next(siblings, None)
            if sibling is None:
                raise Wrong("the Merkle path is too short")
            node = sha256(sibling, node) if place % 2 else sha256(node, sibling)
        place, last = place // 2, last // 2
    if next(siblings, None) is not None:
        raise Wrong("the Merkle path is too long")
    return sha256(bytes([TREE_ROOT]), number(count, 8), node)


def check_receipt(proof: Proof) -> None:
    """The receipt of the envelope is a leaf under the first link's root."""
    body, signature = proof.envelope[:BODY_BYTES], proof.envelope[BODY_BYTES:]
    leaf = sha256(bytes([ENVELOPE_LEAF]), sha256(body), signature)
    place = number(proof.height, 8) + number(proof.index, 4)
    receipt = sha256(bytes([RECEIPT_LEAF]), leaf, place, proof.outcome)
    if not proof.links:
        raise Wrong("the proof has no result")
    root = tree_root(proof.receipt_count, proof.index, receipt, proof.path)
    if root != proof.links[0][0]:
        raise Wrong("the Merkle path does not lead from the receipt to the receipts root")


def check_manifests(proof: Proof, genesis: Genesis) -> bytes:
    """The chain of results and of manifests holds; returns the last manifest's digest."""
    head = proof.previous_head
    for height, (root, state) in enumerate(proof.links, proof.height):
        state_part = b"\0" if state is None else b"\1" + state
        head = sha256(bytes([EXEC_HEAD]), head, number(height, 8), root, state_part)
    last_height, epoch = proof.height + len(proof.links) - 1, (0, genesis.validator_set())
    digest = None
    for data in proof.manifests:
        manifest = Manifest.read(data)
        if (manifest.epoch, manifest.validators) != epoch:
            raise Wrong(f"the manifest of height {manifest.height} is of other validators")
        if digest is None and (manifest.state_height, manifest.exec_head) != (last_height, head):
            raise Wrong(f"the manifest of height {manifest.height} names another result")
        if digest is not None and manifest.parent != digest:
            raise Wrong(f"the manifest of height {manifest.height} has another parent")
        digest = sha256(bytes([MANIFEST]), data)
    if digest is None:
        raise Wrong("the proof has no manifest")
    return digest


def check_certificate(certificate: Certificate, genesis: Genesis) -> None:
    """A quorum of the validators signed the certificate's payload."""
    count = len(genesis.validators)
    if certificate.epoch != 0 or certificate.validator_count != count:
        raise Wrong("the certificate is of other validators")
    quorum = count - (count - 1) // 3
    if len(certificate.signers) < quorum:
        raise Wrong(f"{len(certificate.signers)} validators signed, a quorum is {quorum}")
    keys = [bls_key(one.bls_public_key) for one in genesis.validators]
    if len({one.bls_public_key for one in genesis.validators}) != count:
        raise Wrong("two validators have the same vote key")
    for validator, key in zip(genesis.validators, keys, strict=True):
        head = varint(len(POSSESSION_NAMESPACE)) + POSSESSION_NAMESPACE
        message = head + validator.bls_public_key
        if not bls_holds([key], message, POSSESSION_DST, validator.bls_proof):
            raise Wrong(f"validator {validator.number} has not proved to hold its vote key")
    namespace = VOTE_NAMESPACE + genesis.hash + b"_FINALIZE"
    views = [certificate.epoch, certificate.view, certificate.parent_view]
    message = varint(len(namespace)) + namespace
    message += b"".join(map(varint, views)) + certificate.payload
    signers = [keys[index] for index in certificate.signers]
    if not bls_holds(signers, message, VOTE_DST, certificate.signature):
        raise Wrong("the certificate's signature is not that of its signers over its content")


def check_proof(genesis: Genesis, envelope: bytes, data: bytes) -> Proof:
    """Each step of PROTOCOL.md's "Checking a proof", the cheap ones first."""
    proof = Proof.read(data)
    if proof.envelope != envelope:
        raise Wrong("the proof is of another envelope")
    check_receipt(proof)
    if proof.certificate.payload != check_manifests(proof, genesis):
        raise Wrong("the certificate is of another manifest than the last one")
    check_certificate(proof.certificate, genesis)
    return proof


def uses_up(outcome: bytes) -> bool:
    """Whether an outcome is what became of the envelope, whatever other copies there are."""
    code, flags = (int.from_bytes(half, "little") for half in (outcome[:2], outcome[2:]))
    known = any(first <= code <= last for first, last in USED_UP)
    return bool(flags & DUPLICATE) or (flags & TRANSIENT == 0 and known)


# BLS signatures: in G1, under keys in G2. py_ecc is slow to load, so it is loaded where it is used.


def bls_point(decompress, encoded):
    """The point of these bytes, or None where they are none of the group of prime order."""
    from py_ecc.bls.g2_primitives import is_inf, subgroup_check

    try:
        point = decompress(encoded)
    except ValueError:
        return None
    return None if is_inf(point) or not subgroup_check(point) else point


def bls_key(encoded: bytes):
    from py_ecc.bls.point_compression import decompress_G2

    halves = (encoded[:48], encoded[48:])
    return bls_point(decompress_G2, tuple(int.from_bytes(half, "big") for half in halves))


def bls_holds(keys: list, message: bytes, tag: bytes, signature: bytes) -> bool:
    """Whether all of these keys signed this message: e(H(message), sum of keys) = e(S, G2)."""
    from py_ecc.bls.hash_to_curve import hash_to_G1
    from py_ecc.bls.point_compression import decompress_G1
    from py_ecc.optimized_bls12_381 import FQ12, G2, add, final_exponentiate, neg, pairing

    point = bls_point(decompress_G1, int.from_bytes(signature, "big"))
    if point is None or not keys or any(key is None for key in keys):
        return False
    pairs = [(reduce(add, keys), hash_to_G1(message, tag, sha256_of)), (neg(G2), point)]
    product = FQ12.one()
    for in_g2, in_g1 in pairs:
        product *= pairing(in_g2, in_g1, final_exponentiate=False)
    return final_exponentiate(product) == FQ12.one()


# The command line.


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("genesis-hash", help="print the hash that names a cluster")
    one.add_argument("genesis", type=Path)
    one = commands.add_parser("pay", help="sign a payment, write it to a new file, print its id")
    one.add_argument("genesis", type=Path)
    one.add_argument("debit", help="account that pays, for example 2.1; its owner signs")
    one.add_argument("credit", help="account that is paid")
    one.add_argument("amount", help="with the decimals of the currency")
    one.add_argument("file", type=Path, help="where the envelope goes")
    one.add_argument("--key", type=Path, required=True, help="key file in plain text")
    one.add_argument("--slot", type=int, choices=range(4), default=0, help="slot of the key")
    one = commands.add_parser("answer", help="read what `clearway submit --json` answered")
    one.add_argument("envelope", type=Path)
    one.add_argument("answers", type=argparse.FileType(), help="its output; - for standard input")
    one = commands.add_parser("check-proof", help="check that an envelope's result is final")
    one.add_argument("genesis", type=Path)
    one.add_argument("envelope", type=Path)
    one.add_argument("proof", type=Path, help="what `clearway lookup ID --proof FILE` wrote")
    one = commands.add_parser("uses-up", help="say which outcomes use up the identifier")
    one.add_argument("outcomes", nargs="+", help="4 bytes each, in hexadecimal")
    return parser


def run(args: argparse.Namespace) -> None:
    if args.command == "genesis-hash":
        print(Genesis(args.genesis).hash.hex())
    elif args.command == "pay":
        genesis, key = Genesis(args.genesis), load_key(args.key)
        debit, credit = account(args.debit), account(args.credit)
        envelope = pay(genesis, key, debit, credit, args.amount, args.slot)
        with open(args.file, "xb") as file:
            file.write(envelope)
            os.fsync(file.fileno())
        print(envelope[:16].hex())
    elif args.command == "answer":
        answer = answer_of(envelope_of(args.envelope), args.answers.read())
        print(f"{answer['state']} at height {answer['height']} with code {answer['code_number']}")
        if not answer["final"]:
            raise Wrong(f"{answer['id']} is not final: {answer['help']}")
    elif args.command == "uses-up":
        for written in args.outcomes:
            print(written, "yes" if uses_up(hexadecimal(written, 4)) else "no")
    else:
        genesis, envelope = Genesis(args.genesis), envelope_of(args.envelope)
        proof = check_proof(genesis, envelope, args.proof.read_bytes())
        code = int.from_bytes(proof.outcome[:2], "little")
        if not uses_up(proof.outcome):
            raise Wrong(f"code {code} at height {proof.height} speaks of one copy alone")
        print(f"FINAL at height {proof.height} with code {code}")


def main() -> int:
    try:
        run(command_line().parse_args())
    except (Wrong, OSError) as error:
        print(f"wrong: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
