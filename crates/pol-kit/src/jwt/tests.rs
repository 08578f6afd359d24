use super::*;
use crate::clock::Manual;
use axum::http::HeaderValue;
use axum::routing::get;
use serde_json::{Value, json};

const NOW: u64 = 1_700_000_000;

fn secret() -> Secret {
    Secret::from_bytes([7; 32])
}

/// A token as somebody else would make it.
fn forged(algorithm: Algorithm, claims: &Value, key: &[u8]) -> String {
    choose_provider();
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key)).unwrap()
}

fn refusal(token: &str) -> Why {
    secret().verify(token, NOW).unwrap_err().why()
}

#[test]
fn a_token_of_an_independent_program_is_accepted_its_unknown_claims_ignored() {
    let python = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDAsImlkIjoieCIsImNsdiI6InkifQ\
                  .R3kgtPx9kMIuDrcHgRjxdTkjFpsvdWwR-1_-4iYBtCU";
    assert_eq!(secret().verify(python, NOW), Ok(()));
    let registered = json!({"iat": NOW, "exp": 1, "nbf": u64::MAX, "aud": "x", "iss": ["y"], "sub": 5, "more": {}});
    assert_eq!(secret().verify(&forged(Algorithm::HS256, &registered, &[7; 32]), NOW), Ok(()));
}

#[test]
fn an_iat_off_by_59_or_60_seconds_is_accepted_and_by_61_refused() {
    for (off, accepted) in [(0, true), (59, true), (60, true), (61, false), (3_600, false)] {
        for iat in [NOW + off, NOW - off] {
            let verdict = secret().verify(&secret().token(iat).unwrap(), NOW);
            assert_eq!(verdict.is_ok(), accepted, "{iat}");
            assert!(accepted || verdict.unwrap_err().why() == Why::IssuedAt { off_by: off });
        }
    }
}

#[test]
fn a_missing_string_negative_or_fractional_iat_is_refused() {
    let whole = NOW.to_string();
    for claims in [
        json!({}),
        json!({"iat": whole}),
        json!({"iat": -1}),
        json!({"iat": 1_700_000_000.5}),
        json!({"iat": null}),
        json!({"iat": [NOW]}),
        json!([NOW]),
        json!({"IAT": NOW}),
    ] {
        assert_eq!(refusal(&forged(Algorithm::HS256, &claims, &[7; 32])), Why::Malformed, "{claims}");
    }
}

#[test]
fn the_algorithms_none_hs512_and_rs256_are_refused_even_with_the_right_secret() {
    let token = secret().token(NOW).unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"} and {"alg":"RS256","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let rs256 = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
    for forged in [format!("{none}.{claims}."), format!("{none}.{claims}.{signature}"), format!("{none}.{claims}")] {
        refusal(&forged);
    }
    let message = format!("{rs256}.{claims}");
    let key = EncodingKey::from_secret(secret().bytes());
    let confused = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    assert_eq!(refusal(&format!("{message}.{confused}")), Why::Algorithm);
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(refusal(&forged(algorithm, &json!({"iat": NOW}), &[7; 32])), Why::Algorithm);
    }
}

#[test]
fn another_secret_of_any_length_is_refused() {
    for key in [&[8; 32][..], &[7; 31], &[7; 33], &[]] {
        assert_eq!(refusal(&forged(Algorithm::HS256, &json!({"iat": NOW}), key)), Why::Signature);
    }
}

#[test]
fn a_token_changed_in_any_character_is_refused() {
    let token = secret().token(NOW).unwrap();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(secret().verify(&changed, NOW).is_err(), "character {at}");
    }
}

#[test]
fn garbage_and_a_64_kb_token_are_refused() {
    let token = secret().token(NOW).unwrap();
    for garbage in ["", ".", "..", "...", "a.b.c", "🦀.🦀.🦀", &format!("{token}.x"), &format!(" {token}"), &token[1..]] {
        assert_ne!(refusal(garbage), Why::TooLong, "{garbage}");
    }
    let long = json!({"iat": NOW, "id": "x".repeat(48_000)});
    let long = forged(Algorithm::HS256, &long, &[7; 32]);
    assert!(long.len() > 64_000);
    assert_eq!(refusal(&long), Why::TooLong);
}

#[test]
fn every_refusal_reads_the_same() {
    let whys = [Why::Header, Why::TooLong, Why::Malformed, Why::Algorithm, Why::Signature, Why::IssuedAt { off_by: 61 }];
    assert!(whys.iter().all(|why| Refused { why: *why }.to_string() == REFUSAL));
}

fn headers(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
}

#[test]
fn exactly_one_bearer_header_is_taken() {
    let token = secret().token(NOW).unwrap();
    let bearer = format!("Bearer {token}");
    assert_eq!(secret().authorize(&headers(&[&bearer]), NOW), Ok(()));
    assert_eq!(secret().authorize(&headers(&[&format!("bearer {token}")]), NOW), Ok(()));
    let wrong: [&[&str]; 6] = [&[], &[&bearer, &bearer], &[&token], &[&format!("Basic {token}")], &["Bearer"], &[&bearer, "x"]];
    for values in wrong {
        assert_eq!(secret().authorize(&headers(values), NOW).unwrap_err().why(), Why::Header, "{values:?}");
    }
}

#[tokio::test]
async fn a_protected_router_answers_401_with_a_constant_body_to_all_but_a_valid_token() {
    use hyper_util::service::TowerToHyperService;
    let clock = Arc::new(Manual::at(NOW));
    let router = protect(Router::new().route("/", get(async || "engine")), Arc::new(secret()), clock.clone());
    let token = secret().token(NOW).unwrap();
    let ask = async |authorization: Option<String>| {
        let mut request = Request::new(axum::body::Body::empty());
        if let Some(value) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        let response = hyper::service::Service::call(&TowerToHyperService::new(router.clone()), request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(ask(Some(format!("Bearer {token}"))).await, (200, "engine".to_owned()));
    for wrong in [None, Some("Bearer x".to_owned()), Some(format!("Basic {token}"))] {
        assert_eq!(ask(wrong).await, (401, REFUSAL.to_owned()));
    }
    clock.advance(std::time::Duration::from_secs(61));
    assert_eq!(ask(Some(format!("Bearer {token}"))).await, (401, REFUSAL.to_owned()));
}
