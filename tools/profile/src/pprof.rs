//! A profile as pprof's protocol buffer (`profile.proto` of google/pprof), for its viewers.

use std::collections::HashMap;
use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::HERTZ;
use crate::profile::Profile;

#[derive(Clone, PartialEq, Message)]
struct Proto {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// From the leaf.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    /// What was inlined comes before its caller.
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

impl Profile {
    /// As pprof reads it: samples and nanoseconds, and the stage as the root of each stack and as
    /// label `stage`.
    #[must_use]
    pub fn to_pprof(&self) -> Vec<u8> {
        Writing::new().profile(self).encode_to_vec()
    }

    /// The same, compressed.
    ///
    /// # Errors
    /// None that memory can give.
    pub fn to_pprof_gz(&self) -> io::Result<Vec<u8>> {
        let mut gz = GzEncoder::new(Vec::new(), Compression::default());
        gz.write_all(&self.to_pprof())?;
        gz.finish()
    }
}

/// Numbers of what was written already.
struct Writing {
    strings: Table<String>,
    functions: Table<(String, String)>,
}

/// Each key once, in the order of their first use.
struct Table<K> {
    numbers: HashMap<K, usize>,
    keys: Vec<K>,
}

impl<K: Clone + Eq + std::hash::Hash> Table<K> {
    fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            keys: Vec::new(),
        }
    }

    fn number(&mut self, key: K) -> usize {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        self.keys.push(key.clone());
        self.numbers.insert(key, self.keys.len() - 1);
        self.keys.len() - 1
    }
}

impl Writing {
    fn new() -> Self {
        let mut strings = Table::new();
        // The format wants the empty string first.
        strings.number(String::new());
        Self {
            strings,
            functions: Table::new(),
        }
    }

    fn profile(mut self, profile: &Profile) -> Proto {
        let samples = self.value_type("samples", "count");
        let cpu = self.value_type("cpu", "nanoseconds");
        let mut location: Vec<Location> = Vec::new();
        for (index, frames) in profile.places.iter().enumerate() {
            let lines = frames.iter().rev().map(|frame| {
                let file = frame.file.clone().unwrap_or_default();
                self.line(&frame.function, file, frame.line)
            });
            let line = lines.collect();
            let id = id(index);
            location.push(Location { id, line });
        }
        // A place of its own for each stage, behind the others.
        let mut stages: Table<String> = Table::new();
        let period = 1_000_000_000 / HERTZ;
        let mut sample = Vec::new();
        for stack in &profile.stacks {
            let root = id(profile.places.len() + stages.number(stack.stage.clone()));
            let leaves = stack.places.iter().rev().map(|place| id(*place));
            sample.push(Sample {
                location_id: leaves.chain([root]).collect(),
                value: vec![signed(stack.samples), signed(stack.samples * period)],
                label: vec![Label {
                    key: self.string("stage"),
                    str: self.string(&stack.stage),
                }],
            });
        }
        for stage in stages.keys {
            let line = vec![self.line(&stage, String::new(), 0)];
            let id = id(location.len());
            location.push(Location { id, line });
        }
        let function = self.functions();
        Proto {
            sample_type: vec![samples, cpu.clone()],
            sample,
            location,
            function,
            string_table: self.strings.keys,
            duration_nanos: i64::try_from(profile.lasted.as_nanos()).unwrap_or(i64::MAX),
            period_type: Some(cpu),
            period: signed(period),
        }
    }

    fn functions(&mut self) -> Vec<Function> {
        let keys = std::mem::take(&mut self.functions.keys);
        let functions = keys
            .iter()
            .enumerate()
            .map(|(index, (name, file))| Function {
                id: id(index),
                name: self.string(name),
                filename: self.string(file),
            });
        functions.collect()
    }

    fn line(&mut self, function: &str, file: String, line: u32) -> Line {
        let number = self.functions.number((function.to_owned(), file));
        Line {
            function_id: id(number),
            line: i64::from(line),
        }
    }

    fn value_type(&mut self, what: &str, unit: &str) -> ValueType {
        ValueType {
            r#type: self.string(what),
            unit: self.string(unit),
        }
    }

    fn string(&mut self, text: &str) -> i64 {
        let number = self.strings.number(text.to_owned());
        i64::try_from(number).unwrap_or(i64::MAX)
    }
}

/// Numbers of the format begin at 1; 0 is none.
fn id(index: usize) -> u64 {
    index as u64 + 1
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::sample;

    /// Stacks as pprof's viewers read them: from the root, with their samples.
    fn read(proto: &Proto) -> Vec<(String, i64)> {
        let text =
            |index: i64| proto.string_table[usize::try_from(index).expect("an index")].as_str();
        let function = |line: &Line| {
            let found = proto.function.iter().find(|f| f.id == line.function_id);
            text(found.expect("it is in the table").name)
        };
        let frames = |id: &u64| {
            let found = proto.location.iter().find(|location| location.id == *id);
            let lines = found.expect("it is in the table").line.iter();
            lines.map(function).collect::<Vec<_>>()
        };
        let stack = |sample: &Sample| {
            let mut names = sample
                .location_id
                .iter()
                .flat_map(frames)
                .collect::<Vec<_>>();
            names.reverse();
            assert_eq!(text(sample.label[0].key), "stage");
            assert_eq!(text(sample.label[0].str), names[0]);
            (names.join(";"), sample.value[0])
        };
        proto.sample.iter().map(stack).collect()
    }

    #[test]
    fn every_stack_is_there_with_its_stage_as_root_and_its_time() {
        let proto = Proto::decode(&*sample().to_pprof()).expect("it is one");
        let start = "clone;std::__rust_begin_short_backtrace";
        let expected = [
            ("store;clone;write".to_owned(), 2),
            ("verify".to_owned(), 1),
            (format!("verify;{start};check;inlined"), 1),
            (format!("verify;{start};check;inlined;sum"), 2),
        ];
        let mut found = read(&proto);
        found.sort();
        assert_eq!(found, expected);
        assert_eq!(proto.string_table[0], "");
        for sample in &proto.sample {
            assert_eq!(sample.value[1], sample.value[0] * proto.period);
        }
    }

    #[test]
    fn compressed_it_is_the_same() {
        let gz = sample().to_pprof_gz().expect("memory takes it");
        let mut plain = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&*gz);
        io::Read::read_to_end(&mut reader, &mut plain).expect("gzip");
        assert_eq!(plain, sample().to_pprof());
    }
}
