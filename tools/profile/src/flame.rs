//! Flame graphs: one profile, or what changed between two.

use std::io;

use inferno::differential;
use inferno::flamegraph::color::{MultiPalette, Palette};
use inferno::flamegraph::{self, Options};

use crate::folded::Folded;

/// What stands above the picture, and below its title.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// What was profiled.
    pub title: String,
    /// How, and how long.
    pub subtitle: String,
}

/// The picture of a profile: widths are samples.
///
/// # Errors
/// Where there is no stack in it.
pub fn svg(profile: &Folded, words: &Words) -> io::Result<Vec<u8>> {
    let mut options = options(words);
    options.colors = Palette::Multi(MultiPalette::Rust);
    draw(&mut options, &profile.to_text())
}

/// The picture of `new`, in red what takes more of the time than it did in `old`, in blue what
/// takes less. `old` is scaled to the samples of `new`: runs of different length can be compared.
///
/// # Errors
/// Where there is no stack in one of them.
pub fn svg_of_change(old: &Folded, new: &Folded, words: &Words) -> io::Result<Vec<u8>> {
    let scaled = differential::Options {
        normalize: true,
        ..differential::Options::default()
    };
    let (before, after) = (old.to_text(), new.to_text());
    let mut both = Vec::new();
    differential::from_readers(scaled, before.as_bytes(), after.as_bytes(), &mut both)?;
    let both = String::from_utf8_lossy(&both);
    draw(&mut options(words), &both)
}

fn options(words: &Words) -> Options<'static> {
    let mut options = Options::default();
    options.title = words.title.clone();
    options.subtitle = Some(words.subtitle.clone()).filter(|text| !text.is_empty());
    // The same profile gives the same picture.
    options.deterministic = true;
    options
}

fn draw(options: &mut Options<'_>, lines: &str) -> io::Result<Vec<u8>> {
    let mut picture = Vec::new();
    flamegraph::from_lines(options, lines.lines(), &mut picture)?;
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::sample;

    fn words() -> Words {
        Words {
            title: "a title".to_owned(),
            subtitle: "a <subtitle>".to_owned(),
        }
    }

    fn text(picture: io::Result<Vec<u8>>) -> String {
        String::from_utf8(picture.expect("drawn")).expect("text")
    }

    #[test]
    fn every_function_is_drawn_and_the_same_profile_gives_the_same_picture() {
        let folded = sample().folded();
        let picture = text(svg(&folded, &words()));
        for name in ["<svg", "a title", "verify", "inlined", "sum", "write"] {
            assert!(picture.contains(name), "{name}");
        }
        assert_eq!(picture, text(svg(&folded, &words())));
        svg(&Folded::default(), &words()).expect_err("there is nothing to draw");
    }

    #[test]
    fn a_change_is_drawn_and_a_longer_run_of_the_same_is_none() {
        let new = sample().folded();
        let (twice, other) = ("verify;check 2\nstore 2\n", "verify;check 1\nstore 1\n");
        let [twice, other] = [twice, other].map(|text| Folded::parse(text).expect("folded"));
        let same = text(svg_of_change(&twice, &other, &words()));
        assert!(same.contains("50.00%; 0.00%"), "nothing changed");
        let changed = text(svg_of_change(&other, &new, &words()));
        for name in ["verify", "sum", "%"] {
            assert!(changed.contains(name), "{name}");
        }
    }
}
