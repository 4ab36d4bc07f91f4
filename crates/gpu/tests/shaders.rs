//! Every shader assembles, is valid, and can be written for each language that drivers speak.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clearway_gpu::kernels;
use naga::back::{hlsl, msl, spv};
use naga::proc::BoundsCheckPolicies;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

fn validated(name: &str, source: &str) -> (naga::Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)));
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SHADER_INT64);
    let info = validator
        .validate(&module)
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    (module, info)
}

#[test]
fn every_kernel_is_valid_for_vulkan_metal_and_dx12() {
    for kernel in kernels::ALL.into_iter().chain(kernels::PROBES) {
        let (module, info) = validated(kernel.name, &kernel.source());
        let names: Vec<&str> = module
            .entry_points
            .iter()
            .map(|entry| &*entry.name)
            .collect();
        assert_eq!(names, [kernel.name], "one entry point a file");
        let options = spv::Options {
            lang_version: (1, 3),
            ..Default::default()
        };
        spv::write_vec(&module, &info, &options, None).expect(kernel.name);
        let options = msl::Options {
            lang_version: (2, 4),
            fake_missing_bindings: true,
            bounds_check_policies: BoundsCheckPolicies::default(),
            ..Default::default()
        };
        msl::write_string(&module, &info, &options, &Default::default()).expect(kernel.name);
        let options = hlsl::Options {
            shader_model: hlsl::ShaderModel::V6_0,
            fake_missing_bindings: true,
            ..Default::default()
        };
        let pipeline = hlsl::PipelineOptions::default();
        let mut text = String::new();
        let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
        writer.write(&module, &info, None).expect(kernel.name);
    }
}

#[test]
fn every_file_of_the_folder_is_in_the_table_and_every_kernel_has_a_twin() {
    let shaders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shaders");
    let files = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(shaders.join(folder)).expect(folder);
        let names = entries.map(|entry| entry.expect(folder).file_name().into_string());
        names
            .map(|name| name.expect("plain names").replace(".wgsl", ""))
            .collect()
    };
    let kernels: BTreeSet<String> = kernels::ALL.iter().map(|k| k.name.to_owned()).collect();
    assert_eq!(files("kernels"), kernels);
    let probes: BTreeSet<String> = kernels::PROBES.iter().map(|k| k.name.to_owned()).collect();
    assert_eq!(files("probes"), probes);
    for part in files("lib") {
        assert!(kernels::part(&part).starts_with("// "), "{part}");
    }
    let twins = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/twin/kernels.rs");
    let twins = fs::read_to_string(twins).expect("the twins");
    for kernel in &kernels {
        assert!(
            twins.contains(&format!("pub fn {kernel}(")),
            "{kernel} has no twin"
        );
    }
}
