//! What the other rules want to know about a Rust file, read from its tokens.
//!
//! Tokens instead of a syntax tree: they also show what stands inside a macro call, such as the functions of `proptest!`.

use proc_macro2::{Delimiter, Group, LexError, TokenStream, TokenTree};

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, without the path.
    pub name: String,
    /// The line of `fn`, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace, both counted.
    pub lines: usize,
}

/// The tokens of a source file.
///
/// # Errors
/// When the text is not Rust; its author is at fault.
pub fn parse(source: &str) -> Result<TokenStream, LexError> {
    source.parse()
}

/// Every function with a body, nested ones and those in macro calls too, in source order.
pub fn functions(tokens: &TokenStream) -> Vec<Function> {
    let mut found = Vec::new();
    visit(tokens, &mut |level, at| {
        let (TokenTree::Ident(keyword), Some(TokenTree::Ident(name))) = (&level[at], level.get(at + 1)) else { return };
        if keyword != "fn" {
            return;
        }
        if let Some(body) = body_after(&level[at + 2..]) {
            let line = keyword.span().start().line;
            found.push(Function { name: name.to_string(), line, lines: body.span_close().end().line - line + 1 });
        }
    });
    found
}

/// The brace group that ends a signature; none for a declaration. A const argument in braces stands between `<` or `,` and
/// `,` or `>`.
fn body_after(signature: &[TokenTree]) -> Option<&Group> {
    let is_punct = |at: Option<usize>, wanted: [char; 2]| matches!(at.and_then(|at| signature.get(at)), Some(TokenTree::Punct(punct)) if wanted.contains(&punct.as_char()));
    for (at, token) in signature.iter().enumerate() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ';' => return None,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let is_argument = is_punct(at.checked_sub(1), ['<', ',']) && is_punct(Some(at + 1), ['>', ',']);
                if is_argument {
                    continue;
                }
                return Some(group);
            }
            _ => {}
        }
    }
    None
}

/// Whether the file holds a `#[cfg(test)] mod name { .. }`.
pub fn has_test_module(tokens: &TokenStream) -> bool {
    let mut found = false;
    visit(tokens, &mut |level, at| {
        let is_cfg_test = attribute(level, at).is_some_and(|content| content.to_string().replace(' ', "") == "cfg(test)");
        if is_cfg_test {
            let mut rest = level[at + 2..].iter().skip_while(|token| !is_ident(token, "mod"));
            found |= matches!((rest.next(), rest.next(), rest.next()),
                (Some(_), Some(TokenTree::Ident(_)), Some(TokenTree::Group(body))) if body.delimiter() == Delimiter::Brace);
        }
    });
    found
}

/// Calls of the named macros: line and name.
pub fn macro_calls(tokens: &TokenStream, names: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    visit(tokens, &mut |level, at| {
        if let (TokenTree::Ident(name), Some(TokenTree::Punct(bang))) = (&level[at], level.get(at + 1))
            && bang.as_char() == '!'
            && names.iter().any(|banned| name == banned)
        {
            found.push((name.span().start().line, name.to_string()));
        }
    });
    found
}

/// Lines of `#[ignore]` attributes that give no reason, conditional ones included.
pub fn ignores_without_reason(tokens: &TokenStream) -> Vec<usize> {
    let mut found = Vec::new();
    visit(tokens, &mut |level, at| {
        let Some(content) = attribute(level, at) else { return };
        let content: Vec<TokenTree> = content.into_iter().collect();
        let bare = match content.first() {
            Some(first) if is_ident(first, "ignore") => !gives_reason(&content[1..]),
            Some(first) if is_ident(first, "cfg_attr") => content.iter().any(|token| {
                let TokenTree::Group(group) = token else { return false };
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                inner.iter().enumerate().any(|(i, token)| is_ident(token, "ignore") && !gives_reason(&inner[i + 1..]))
            }),
            _ => false,
        };
        if bare {
            found.push(level[at].span().start().line);
        }
    });
    found
}

/// `= "something"`.
fn gives_reason(after: &[TokenTree]) -> bool {
    matches!(after, [TokenTree::Punct(equals), TokenTree::Literal(reason), ..]
        if equals.as_char() == '=' && reason.to_string().trim_matches('"').trim().len() > 2)
}

/// The content of the outer attribute that begins at `at`.
fn attribute(level: &[TokenTree], at: usize) -> Option<TokenStream> {
    match (level.get(at), level.get(at + 1)) {
        (Some(TokenTree::Punct(hash)), Some(TokenTree::Group(group)))
            if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group.stream())
        }
        _ => None,
    }
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

/// Calls `look` with every token: the tokens of its level and its index there.
fn visit(tokens: &TokenStream, look: &mut dyn FnMut(&[TokenTree], usize)) {
    let level: Vec<TokenTree> = tokens.clone().into_iter().collect();
    for (at, token) in level.iter().enumerate() {
        look(&level, at);
        if let TokenTree::Group(group) = token {
            visit(&group.stream(), look);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> TokenStream {
        parse(source).unwrap()
    }

    #[test]
    fn functions_are_measured_wherever_they_stand() {
        let source = "trait T { fn declared(&self) -> u8; }\n\
            fn outer<const N: usize>(x: A<{ N }>) -> Vec<u8>\nwhere\n    u8: Copy,\n{\n    fn inner() {}\n}\n\
            proptest! {\n    #[test]\n    fn in_a_macro(x in 0..3u8) {\n        let y: fn(u8) -> u8 = f;\n    }\n}\n";
        let found: Vec<_> = functions(&tokens(source)).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("outer".into(), 2, 6), ("inner".into(), 6, 1), ("in_a_macro".into(), 10, 3)]);
    }

    #[test]
    fn only_a_test_module_inside_counts_as_one() {
        assert!(has_test_module(&tokens("fn a() {}\n#[cfg(test)]\n#[allow(clippy::panic)]\nmod tests { fn b() {} }")));
        assert!(!has_test_module(&tokens("#[cfg(test)]\nmod tests;")));
        assert!(!has_test_module(&tokens("#[cfg(unix)]\nmod unix { fn b() {} }")));
        assert!(!has_test_module(&tokens("// #[cfg(test)] mod tests {}\nfn a() {}")));
    }

    #[test]
    fn banned_macros_are_found_in_code_and_not_in_text() {
        let source = "fn a() {\n    // later!()\n    let s = \"later!()\";\n    assert!({ later!(); true });\n}";
        assert_eq!(macro_calls(&tokens(source), &["later"]), [(4, "later".into())]);
    }

    #[test]
    fn an_ignore_needs_a_reason() {
        let source = "#[ignore]\nfn a() {}\n#[ignore = \"needs an hour\"]\nfn b() {}\n#[ignore = \"\"]\nfn c() {}\n\
            #[cfg_attr(unix, ignore)]\nfn d() {}\n#[cfg_attr(unix, ignore = \"no fork\")]\nfn e() {}\n#[serde(ignore)]\nfn f() {}";
        assert_eq!(ignores_without_reason(&tokens(source)), [1, 5, 7]);
    }
}
