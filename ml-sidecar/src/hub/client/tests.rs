use super::*;

fn rules(endpoint: &str, named: &[&str]) -> Rules {
    let endpoint = Origin::of(&endpoint.parse().unwrap()).unwrap();
    Rules { endpoint, named: named.iter().map(|host| (*host).to_owned()).collect() }
}

fn allows(rules: &Rules, url: &str) -> bool {
    Origin::of(&url.parse().unwrap()).is_some_and(|origin| rules.allows(&origin))
}

#[test]
fn the_hub_redirects_to_its_own_storage_only() {
    let rules = rules("https://huggingface.co", &[]);
    for url in
        ["https://cdn-lfs.hf.co/x", "https://cas-bridge.xethub.hf.co/x?sig=1", "https://huggingface.co/a", "https://HF.co/a"]
    {
        assert!(allows(&rules, url), "{url}");
    }
    for url in [
        "https://evil.com/x",
        "https://evilhf.co/x",
        "https://hf.co.evil.com/x",
        "http://cdn-lfs.hf.co/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://localhost/x",
    ] {
        assert!(!allows(&rules, url), "{url}");
    }
}

#[test]
fn a_mirror_may_redirect_to_itself_and_to_hosts_that_were_named() {
    let rules = rules("http://10.0.0.5:8080", &["store.example"]);
    for url in
        ["http://10.0.0.5/x", "http://10.0.0.5:9000/x", "https://store.example/x", "http://a.store.example/x", "http://hf.co/x"]
    {
        assert!(allows(&rules, url), "{url}");
    }
    for url in ["http://10.0.0.6/x", "http://169.254.169.254/latest", "http://notstore.example/x"] {
        assert!(!allows(&rules, url), "{url}");
    }
}

#[test]
fn a_public_name_with_a_private_address_is_refused_before_it_is_connected_to() {
    let rules = rules("http://10.0.0.5", &["store.example"]);
    let refused = |host: &str, address: &str| rules.check_address(host, address.parse().unwrap()).is_err();
    assert!(refused("cdn-lfs.hf.co", "192.168.0.1") && refused("huggingface.co", "::1"));
    assert!(!refused("cdn-lfs.hf.co", "18.1.1.1"));
    assert!(!refused("10.0.0.5", "10.0.0.5") && !refused("store.example", "10.0.0.9"), "the operator named these");
}

#[test]
fn redirects_are_joined_as_urls_are() {
    let from: Uri = "https://huggingface.co/datasets/a/resolve/x".parse().unwrap();
    let joined = |to| join(&from, to).map(|uri| uri.to_string());
    assert_eq!(joined("/b?c=1").as_deref(), Some("https://huggingface.co/b?c=1"));
    assert_eq!(joined("https://hf.co/b").as_deref(), Some("https://hf.co/b"));
    assert_eq!(joined("//evil.com/b"), None);
    assert_eq!(joined("file:///etc/passwd"), None);
    assert_eq!(joined("relative"), None);
}

#[test]
fn settings_that_are_no_url_are_refused() {
    for endpoint in ["", "huggingface.co", "ftp://huggingface.co", "https://"] {
        assert!(matches!(Client::new(endpoint, &[], None, None), Err(HubError::Url { .. })), "{endpoint}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    assert!(matches!(Client::new("https://hf.co", &[], None, Some(&file)), Err(HubError::Certificates { .. })));
}
