//! Certificates of servers and of users.

use std::process::Command;

use kf_tests::cluster::User;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SigningKey as _,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::{Differences, kubectl, ran};
use crate::common::servers::{kubeconfig_for, presenting};
use crate::common::team::Team;
use crate::common::{Home, Ran, output_of};

/// Whether the server was trusted; it closes the connection after the handshake.
fn trusts(ran: &Ran) -> bool {
    assert_ne!(ran.code, Some(0), "{}", ran.transcript());
    !ran.stderr.contains("certificate") && !ran.stderr.contains("x509")
}

#[test]
fn server_certificates_are_trusted_as_by_kubectl() {
    let team = Team::new("trust");
    let home = Home::with_commands(&["whoami"]);
    let named = |host: &str| CertificateParams::new(vec![host.to_owned()]).unwrap();
    let authority_of = |name: &str| {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    let key = || KeyPair::generate().unwrap();
    let (authority_key, own_key, other_key) = (key(), key(), key());
    let authority = authority_of("authority").self_signed(&authority_key).unwrap();
    let authority_params = authority_of("authority");
    let issuer = Issuer::from_params(&authority_params, &authority_key);
    let signed = |params: CertificateParams| params.signed_by(&own_key, &issuer).unwrap();
    let leaf = signed(named("127.0.0.1"));
    let for_clients = {
        let mut params = named("127.0.0.1");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params
    };
    let ended = {
        let mut params = named("127.0.0.1");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        params
    };
    let own_authority = authority_of("127.0.0.1").self_signed(&own_key).unwrap();
    let self_signed = named("127.0.0.1").self_signed(&own_key).unwrap();
    let twin = named("127.0.0.1").self_signed(&other_key).unwrap();
    let elsewhere = named("elsewhere.example").self_signed(&own_key).unwrap();
    let listed_for_clients = for_clients.clone().self_signed(&own_key).unwrap();
    let listed_ended = ended.clone().self_signed(&own_key).unwrap();
    let mut differences = Differences::default();
    for (what, shown, listed, expected) in [
        ("signed by the authority", leaf.clone(), authority.pem(), true),
        ("itself, signed by an authority that is not listed", leaf.clone(), leaf.pem(), true),
        ("itself, self-signed", self_signed.clone(), self_signed.pem(), true),
        ("itself, an authority", own_authority.clone(), own_authority.pem(), true),
        ("another of the same name", self_signed.clone(), twin.pem(), false),
        ("itself, for another host", elsewhere.clone(), elsewhere.pem(), false),
        ("itself, for clients", listed_for_clients.clone(), listed_for_clients.pem(), false),
        ("itself, which has ended", listed_ended.clone(), listed_ended.pem(), false),
        ("for clients, signed by the authority", signed(for_clients), authority.pem(), false),
        ("ended, signed by the authority", signed(ended), authority.pem(), false),
        (
            "a bundle with a broken certificate before the authority",
            leaf.clone(),
            format!("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n{}", authority.pem()),
            true,
        ),
    ] {
        let address = presenting(&shown, &own_key);
        let file = kubeconfig_for(&home, &format!("https://{address}"), Some(&listed));
        let theirs: &mut Command = &mut kubectl(&team, &home, file.as_ref());
        let theirs = ran(theirs.args(["get", "--raw", "/version"]), &home);
        differences.check(&format!("kubectl: {what}"), &trusts(&theirs), &expected, &theirs);
        let ours = home.run(["whoami", "--kubeconfig", &file]);
        differences.check(&format!("kf: {what}"), &trusts(&ours), &expected, &ours);
    }
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// The first element of a DER document with its head, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = match der[1] {
        short @ 0..=0x7f => (2, usize::from(short)),
        long => {
            let bytes = usize::from(long & 0x7f);
            (2 + bytes, der[2..2 + bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    };
    der.split_at(head + length)
}

fn content(element: &[u8]) -> &[u8] {
    let bytes = usize::from(element[1]);
    &element[if bytes > 0x7f { 2 + (bytes & 0x7f) } else { 2 }..]
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        short @ 0..=0x7f => vec![u8::try_from(short).unwrap()],
        medium @ 0x80..=0xff => vec![0x81, u8::try_from(medium).unwrap()],
        long => [&[0x82], u16::try_from(long).unwrap().to_be_bytes().as_slice()].concat(),
    };
    [&[tag], length.as_slice(), content].concat()
}

/// The same certificate as X.509 v1, as `openssl x509 -req` creates without extensions.
fn as_v1(certificate: &[u8], authority: &KeyPair) -> Vec<u8> {
    let (mut rest, algorithm) = element(content(certificate));
    let (algorithm, _) = element(algorithm);
    rest = content(rest);
    let mut kept = Vec::new();
    while !rest.is_empty() {
        let (field, after) = element(rest);
        // Skip the version and the extensions, which v1 does not have.
        if ![0xa0, 0xa3].contains(&field[0]) {
            kept.extend_from_slice(field);
        }
        rest = after;
    }
    let signed = der(SEQUENCE, &kept);
    let signature = [&[0], authority.sign(&signed).unwrap().as_slice()].concat();
    der(SEQUENCE, &[signed.as_slice(), algorithm, &der(BIT_STRING, &signature)].concat())
}

/// Vic's own certificate, converted to X.509 v1.
#[test]
fn x509_v1_client_certificate_is_presented() {
    let team = Team::new("first-version");
    let Ok(authority) = fs_err::read_to_string(team.cluster().directory().join("pki/ca.key")) else {
        // An existing cluster does not expose its CA key.
        return;
    };
    let home = Home::with_commands(&["whoami"]);
    let text = fs_err::read_to_string(team.kubeconfig(User::Viewer)).unwrap();
    let mut kubeconfig: Value = serde_saphyr::from_str(&text).unwrap();
    let user = &mut kubeconfig["users"][0]["user"];
    let base64 = |option: &str, input: &[u8]| {
        let file = home.path().join("input");
        fs_err::write(&file, input).unwrap();
        output_of(Command::new("base64").arg(option).arg(file)).stdout
    };
    let pem = base64("-d", user["client-certificate-data"].as_str().unwrap().as_bytes());
    let v3 = CertificateDer::from_pem_slice(&pem).unwrap();
    let v1 = base64("-w64", &as_v1(&v3, &KeyPair::from_pem(&authority).unwrap()));
    let v1 = String::from_utf8(v1).unwrap();
    let certificate = home.path().join("vic.crt");
    fs_err::write(&certificate, format!("-----BEGIN CERTIFICATE-----\n{v1}-----END CERTIFICATE-----\n"))
        .unwrap();
    user["client-certificate-data"].take();
    user["client-certificate"] = json!(certificate);
    let file = home.path().join("config");
    fs_err::write(&file, kubeconfig.to_string()).unwrap();
    let theirs = ran(kubectl(&team, &home, &file).args(["auth", "whoami"]), &home);
    assert!(theirs.stdout.contains("vic"), "{}", theirs.transcript());
    let ours = home.run(["whoami", "-o", "name", "--kubeconfig", file.to_str().unwrap()]);
    assert_eq!(ours.stdout, "user/vic\n", "{}", ours.transcript());
}
