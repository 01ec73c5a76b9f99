"""Which addresses are public: every kind of IANA's registries, and every way to write IPv4 in IPv6."""

from __future__ import annotations

import pytest

from popspark.images.downloads.addresses import is_public

IPV4 = {
    "loopback": "127.8.9.1",
    "this network": "0.1.2.3",
    "private": "172.20.1.2",
    "shared": "100.100.100.200",  # Alibaba's metadata service
    "link-local": "169.254.170.2",  # that of AWS's containers
    "protocol assignments": "192.0.0.170",
    "documentation": "203.0.113.9",
    "relays of 6to4": "192.88.99.2",
    "benchmarks": "198.19.0.1",
    "multicast": "224.0.1.1",
    "reserved": "250.1.2.3",
    "broadcast": "255.255.255.255",
    "Azure's host": "168.63.129.16",
    "Oracle's metadata": "192.0.0.192",
}
IPV6 = {
    "unspecified": "::",
    "loopback": "::1",
    "link-local": "fe80::1%eth0",
    "site-local": "feff::1",
    "unique local": "fd00:ec2::254",  # AWS's metadata service
    "multicast": "ff0e::1",
    "discard": "100::1",
    "documentation": "2001:db8::1",
    "later documentation": "3fff:abc::1",
    "ORCHID": "2001:20::1",
    "segment routing": "5f00::1",
    "not given out": "4000::1",
}
PUBLIC = "808:808"
INSIDE = {  # {}: the IPv4 address, as the last 32 bits or where the form has it
    "mapped": "::ffff:{}",
    "NAT64": "64:ff9b::{}",
}
NEVER = {
    "local NAT64": "64:ff9b:1::{}",
    "compatible": "::{}",
    "translated": "::ffff:0:{}",
    "6to4": "2002:{}::1",
    "Teredo": "2001:0:{}::",
    "ISATAP": "2600:1f18:1:2:0:5efe:{}",
    "ISATAP of a public address": "2600:1f18:1:2:200:5efe:{}",
}


@pytest.mark.parametrize("address", [*IPV4.values(), *IPV6.values()], ids=[*IPV4, *(f"IPv6 {name}" for name in IPV6)])
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "192.0.1.1", "2606:4700::1111", "2a00:1450::200e"])
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("form", [*INSIDE.values()], ids=[*INSIDE])
def test_an_ipv4_address_inside_counts_for_itself(form: str) -> None:
    assert is_public(form.format(PUBLIC))
    for address in IPV4.values():
        assert not is_public(form.format(address)), address


@pytest.mark.parametrize("form", [*NEVER.values()], ids=[*NEVER])
@pytest.mark.parametrize("inside", [PUBLIC, "7f00:1", "a00:1", "a9fe:a9fe"])
def test_tunnels_and_translations_are_never_public(form: str, inside: str) -> None:
    assert not is_public(form.format(inside))
