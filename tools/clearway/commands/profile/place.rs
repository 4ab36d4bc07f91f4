//! The files that a profile is written to, each in the form that its name ends in.

use std::path::{Path, PathBuf};

use clearway_profile::flame::{self, Words};
use clearway_profile::{Folded, Profile};

use crate::failure::{Failure, Kind, OrFail as _};
use crate::ui::OutFile;

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// A flame graph.
    Svg,
    /// Stacks as text.
    Folded,
    /// pprof's protocol buffer.
    Pprof,
    /// The same, compressed.
    PprofGz,
}

/// Endings of names, and what such a file holds.
const ENDINGS: [(&str, Form); 4] = [
    (".svg", Form::Svg),
    (".folded", Form::Folded),
    (".pb", Form::Pprof),
    (".pb.gz", Form::PprofGz),
];

/// A file and its form.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) form: Form,
}

/// Reads the form from the name.
pub(super) fn parse_place(text: &str) -> Result<Place, String> {
    let ending = ENDINGS.iter().find(|(ending, _)| text.ends_with(ending));
    let (_, form) = ending.ok_or("end it in .svg, .folded, .pb or .pb.gz")?;
    let path = PathBuf::from(text);
    Ok(Place { path, form: *form })
}

impl Place {
    /// Makes sure that the file can be written.
    pub(super) fn open(&self) -> Result<OpenPlace, Failure> {
        let file = OutFile::open("--out", Path::new(&self.path))?;
        let form = self.form;
        Ok(OpenPlace { form, file })
    }
}

/// A file that can be written.
pub(super) struct OpenPlace {
    form: Form,
    file: OutFile,
}

impl OpenPlace {
    /// Writes the profile; a picture shows what changed since `old`, where there is one.
    pub(super) fn write(
        self,
        profile: &Profile,
        old: Option<&Folded>,
        words: &Words,
    ) -> Result<(), Failure> {
        let folded = || profile.folded();
        let bytes = match (self.form, old) {
            (Form::Svg, None) => flame::svg(&folded(), words).or_fail(Kind::Failed)?,
            (Form::Svg, Some(old)) => {
                flame::svg_of_change(old, &folded(), words).or_fail(Kind::Failed)?
            }
            (Form::Folded, _) => folded().to_text().into_bytes(),
            (Form::Pprof, _) => profile.to_pprof(),
            (Form::PprofGz, _) => profile.to_pprof_gz().or_fail(Kind::Failed)?,
        };
        self.file.write(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_the_file_holds() {
        let rows = [
            ("flame.svg", Some(Form::Svg)),
            ("a folder/x.folded", Some(Form::Folded)),
            ("x.pb", Some(Form::Pprof)),
            ("x.pb.gz", Some(Form::PprofGz)),
            ("x.gz", None),
            ("x", None),
            ("", None),
        ];
        for (name, expected) in rows {
            let form = parse_place(name).ok().map(|place| place.form);
            assert_eq!(form, expected, "{name}");
        }
    }
}
