//! Just enough of Rust's lexical rules to tell code from comments, strings and characters.

/// The source with every comment, string and character literal blanked out.
///
/// Lines keep their number and each character its column, so a hit in the result is a place in the
/// source. Source: The Rust Reference, chapters "Comments" and "Tokens".
pub(crate) fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = opaque_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself when plain code stands there.
fn opaque_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => line_end(chars, at),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' if !follows_word(chars, at) => raw_string_end(chars, at + 1).unwrap_or(at),
        'b' | 'c' if !follows_word(chars, at) => match next {
            Some('"') => string_end(chars, at + 2),
            Some('r') => raw_string_end(chars, at + 2).unwrap_or(at),
            _ => at,
        },
        '\'' => char_end(chars, at).unwrap_or(at),
        _ => at,
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..]
        .iter()
        .position(|&c| c == '\n')
        .map_or(chars.len(), |length| at + length)
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

/// The end of a string whose first character after the quote is at `at`.
fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of a raw string whose hashes or quote start at `at`; `None` when it is none.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hash_count = chars[at..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + hash_count) != Some(&'"') {
        return None;
    }
    let mut end = at + hash_count + 1;
    while end < chars.len() {
        let closes = chars[end] == '"'
            && chars[end + 1..]
                .iter()
                .take(hash_count)
                .filter(|&&c| c == '#')
                .count()
                == hash_count;
        if closes {
            return Some(end + 1 + hash_count);
        }
        end += 1;
    }
    Some(chars.len())
}

/// The end of a character literal at `at`; `None` when the quote starts a lifetime.
fn char_end(chars: &[char], at: usize) -> Option<usize> {
    match (chars.get(at + 1)?, chars.get(at + 2)?) {
        ('\\', _) => {
            let close = chars[at + 3..].iter().position(|&c| c == '\'')?;
            Some(at + 3 + close + 1)
        }
        (_, '\'') => Some(at + 3),
        _ => None,
    }
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && is_word(chars[at - 1])
}

/// Whether a character can be part of an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether `word` stands in `line` with no identifier character on either side.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        let rows = [
            ("let a = 1; // unsafe", "let a = 1;          "),
            ("/* a /* unsafe */ b */ x", "                       x"),
            (r#"f("unsafe \" still", y)"#, "f(                 , y)"),
            (r##"f(r#"un"safe"#, y)"##, "f(            , y)"),
            (r#"f(b"x", br"y", c"z")"#, "f(    ,      ,     )"),
            (r"let c = '\''; g", "let c =     ; g"),
            (r"let c = '\u{1F600}'; g", "let c =            ; g"),
            ("let c = '\"'; g", "let c =    ; g"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("for r in bar {}", "for r in bar {}"),
            ("let r#type = 1;", "let r#type = 1;"),
        ];
        for (source, code) in rows {
            let wide = code_only(source);
            assert_eq!(wide, code, "source {source:?}");
        }
    }

    #[test]
    fn lines_keep_their_numbers_across_long_literals() {
        let code = code_only("a \"one\ntwo\nthree\" b\n/* x\ny */ c\n");
        assert_eq!(
            code.lines().map(str::trim).collect::<Vec<_>>(),
            ["a", "", "b", "", "c"]
        );
    }

    #[test]
    fn an_unfinished_literal_ends_with_the_file() {
        for source in ["\"open", "r#\"open", "/* open", "'\\", "b\"", "\"\\"] {
            assert_eq!(
                code_only(source).chars().count(),
                source.chars().count(),
                "{source:?}"
            );
        }
    }

    #[test]
    fn a_word_is_found_only_whole() {
        for (line, found) in [
            ("unsafe { }", true),
            ("#![deny(unsafe_code)]", false),
            ("un unsafe", true),
            ("notunsafe", false),
        ] {
            assert_eq!(has_word(line, "unsafe"), found, "{line:?}");
        }
    }
}
