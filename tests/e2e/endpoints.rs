//! Checks that go and look: http and tcp.

use crate::manifests::check;
use crate::servers::{Authority, HttpServer};
use crate::world::{ensure, eventually, shared};
use std::net::{SocketAddr, TcpListener};

/// One evaluation a second, one try each.
const BRISK: &str = "intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: 10, retries: { attempts: 1 }";

fn http(name: &str, url: &str, more: &str) -> String {
    check(name, &format!("{{ {BRISK}, probe: {{ http: {{ url: '{url}', {more} }} }} }}"))
}

#[test]
fn an_http_check_follows_the_endpoints_status() {
    let team = shared().team("http");
    let server = HttpServer::start("200 OK", "fine");
    let url = format!("http://{}/healthz", server.address);
    team.apply(&http("answers", &format!("{url}?token=secret"), "method: HEAD, headers: [{ name: X-Probe, value: holdpoint }]"));
    let (reason, message) = team.verdict("answers", "Passing");
    assert_eq!((reason.as_str(), message), ("AllPassed", format!("{url}: answered 200")));
    let head = server.seen()[0].to_ascii_lowercase();
    assert!(head.starts_with("head /healthz?token=secret http/1.1\r\n") && head.contains("\r\nx-probe: holdpoint\r\n"), "{head}");

    server.answer("503 Service Unavailable", "");
    assert_eq!(team.verdict("answers", "Failing").1, format!("{url}: answered 503, expected 200"));
    server.stop();
    let message = team.verdict_for("answers", "Unknown", "EvaluationError");
    assert_eq!(message, format!("{url}: {} refused the connection", server.address));
    assert!(!team.get("pfc", "answers")["status"].to_string().contains("secret"), "a query is not shown");
}

#[test]
fn an_http_check_reads_the_body() {
    let team = shared().team("body");
    let server = HttpServer::start("200 OK", r#"{"status":"ok","db":{"lag":3}}"#);
    let url = format!("http://{}/", server.address);
    team.apply(&http("status-ok", &url, "body: { contains: '\"db\"', jsonPath: { path: $.status, equals: ok } }"));
    team.apply(&http("lag-small", &url, "body: { jsonPath: { path: $.db.lag, equals: '3' } }"));
    team.verdict("status-ok", "Passing");
    team.verdict("lag-small", "Passing");
    server.answer("200 OK", r#"{"status":"starting","db":{}}"#);
    assert_eq!(team.verdict("status-ok", "Failing").1, format!("{url}: the value at $.status is not the expected one"));
    assert_eq!(team.verdict_for("lag-small", "Unknown", "NoData"), format!("{url}: the body has no value at $.db.lag"));
    server.answer("200 OK", "not json");
    eventually("the body to be unreadable", || {
        let (reason, message) = team.verdict("lag-small", "Unknown");
        ensure(reason == "EvaluationError" && message == format!("{url}: the body is not JSON"), || message.clone())
    });
}

#[test]
fn a_private_authority_is_read_from_a_config_map() {
    let team = shared().team("ca");
    let authority = Authority::new();
    let server = HttpServer::start_tls("200 OK", "fine", &authority);
    let url = format!("https://{}/", server.address);
    team.apply(&http("public", &url, ""));
    team.apply(&http("private", &url, "certificateAuthority: { configMapRef: { name: internal-ca } }"));
    let message = team.verdict_for("private", "Unknown", "NoData");
    assert_eq!(message, format!("{url}: certificate authority: ConfigMap internal-ca, key ca.crt: does not exist"));
    let pem = format!("--from-literal=ca.crt={}", authority.pem);
    team.done(&["create", "configmap", "internal-ca", &pem], "");
    assert_eq!(team.verdict("private", "Passing").1, format!("{url}: answered 200"));
    let message = team.verdict_for("public", "Unknown", "EvaluationError");
    let advice = "the server's certificate does not come from a trusted authority; name yours in certificateAuthority";
    assert_eq!(message, format!("{url}: no TLS connection: {advice}"));

    let other = format!("--from-literal=ca.crt={}", Authority::new().pem);
    team.done(&["delete", "configmap", "internal-ca"], "");
    team.done(&["create", "configmap", "internal-ca", &other], "");
    team.verdict_for("private", "Unknown", "EvaluationError");
}

#[test]
fn a_private_authority_is_read_from_a_secret_after_the_printed_commands() {
    let mut team = shared().team("a-team-with-a-long-name");
    team.expect_forbidden("/secrets/internal-certificate-authority");
    let authority = Authority::new();
    let server = HttpServer::start_tls("200 OK", "fine", &authority);
    let url = format!("https://{}/", server.address);
    let pem = format!("--from-literal=ca.crt={}", authority.pem);
    team.done(&["create", "secret", "generic", "internal-certificate-authority", &pem], "");
    team.apply(&http("private", &url, "certificateAuthority: { secretRef: { name: internal-certificate-authority } }"));
    let message = team.verdict_for("private", "Unknown", "Forbidden");
    // First of the account as which the check reads, then of the operator, which reads it.
    let account = format!("service account {}:default may not get secrets internal-certificate-authority in namespace", team.name);
    assert!(message.starts_with(&account), "{message}");
    assert!(message.contains("--verb=get --resource=secrets --resource-name=internal-certificate-authority"), "{message}");
    assert_eq!(message.matches("kubectl -n ").count(), 2, "{message}");
    team.condition_for("pfc/private", "Ready", "False", "Forbidden");
    team.grant("private");
    assert_eq!(team.verdict("private", "Passing").1, format!("{url}: answered 200"));
    team.condition("pfc/private", "Ready", "True");
}

#[test]
fn a_tcp_check_follows_the_listener() {
    let team = shared().team("tcp");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let spec = |address: SocketAddr| format!("{{ {BRISK}, probe: {{ tcp: {{ host: {}, port: {} }} }} }}", address.ip(), address.port());
    team.apply(&check("accepts", &spec(address)));
    assert_eq!(team.verdict("accepts", "Passing").1, format!("{address}: accepted a connection"));
    drop(listener);
    assert_eq!(team.verdict("accepts", "Failing").1, format!("{address}: {address} refused the connection"));
    let _again = TcpListener::bind(address).unwrap();
    team.verdict("accepts", "Passing");
}

#[test]
fn what_only_the_operator_can_reach_is_denied() {
    let team = shared().team("denied");
    // The operator of the tests runs with --allow-cidr 127.0.0.0/8, and with nothing else.
    team.apply(&check("metadata", &format!("{{ {BRISK}, probe: {{ http: {{ url: 'http://169.254.169.254/latest/meta-data/' }} }} }}")));
    team.apply(&check("loopback", &format!("{{ {BRISK}, probe: {{ tcp: {{ host: '::1', port: 9443 }} }} }}")));
    team.apply(&check("unspecified", &format!("{{ {BRISK}, probe: {{ tcp: {{ host: '0.0.0.0', port: 22 }} }} }}")));
    team.apply(&check("disguised", &format!("{{ {BRISK}, probe: {{ http: {{ url: 'http://[::ffff:a9fe:a9fe]/' }} }} }}")));
    let denied = |check: &str| team.verdict_for(check, "Unknown", "TargetDenied");
    assert_eq!(
        denied("metadata"),
        "http://169.254.169.254/latest/meta-data/: 169.254.169.254 is a cloud metadata address (169.254.169.254): \
         probes go there only if the operator runs with --allow-cidr=169.254.169.254/32"
    );
    assert!(denied("loopback").contains("::1 is a loopback address") && denied("loopback").ends_with("--allow-cidr=::1/128"));
    assert!(denied("unspecified").contains("is an unspecified address"));
    assert!(denied("disguised").contains("is a cloud metadata address"));
}

#[test]
fn a_verdict_turns_only_after_as_many_results_in_a_row_as_the_thresholds_say() {
    let team = shared().team("threshold");
    let server = HttpServer::start("200 OK", "");
    let probe = format!("probe: {{ http: {{ url: 'http://{}/' }} }}", server.address);
    team.apply(&check("patient", &format!("{{ {BRISK}, {probe}, failureThreshold: 3, successThreshold: 2 }}")));
    team.verdict("patient", "Passing");
    server.answer("500 Internal Server Error", "");
    let first = server.seen().len();
    team.verdict("patient", "Failing");
    assert!(server.seen().len() >= first + 3, "it was asked {} times", server.seen().len() - first);
    let status = team.get("pfc", "patient")["status"].clone();
    assert!(status["streak"]["failures"].as_i64() >= Some(3), "{status}");
    server.answer("200 OK", "");
    let first = server.seen().len();
    team.verdict("patient", "Passing");
    assert!(server.seen().len() >= first + 2);
}
