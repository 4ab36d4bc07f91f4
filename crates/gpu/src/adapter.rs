//! Which adapters this machine has, and which of them may verify.

use std::sync::LazyLock;

use wgpu::{Adapter, Backends, DeviceType, Features, Instance, InstanceDescriptor, InstanceFlags};

use crate::device::DeviceError;
use crate::lasting;

/// An adapter and why it is used or not, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdapterReport {
    /// Its number in this list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Features and limits that are missing; empty when it can be used.
    pub lacks: Vec<String>,
}

/// Which adapter to take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AdapterChoice {
    /// The number in [`list`]; the first that fits when there is none.
    pub index: Option<usize>,
    /// Whether an adapter that computes on the CPU may be taken: for tests, it is slower than the
    /// CPU itself.
    pub software: bool,
}

impl AdapterReport {
    /// Whether it fits the choice.
    #[must_use]
    pub fn is_usable(&self, choice: AdapterChoice) -> bool {
        self.lacks.is_empty()
            && (choice.software || !self.software)
            && choice.index.is_none_or(|index| index == self.index)
    }

    /// Why it is or is not used.
    #[must_use]
    pub fn verdict(&self, choice: AdapterChoice) -> String {
        if !self.lacks.is_empty() {
            return format!("not used: it lacks {}", self.lacks.join(", "));
        }
        if self.software && !choice.software {
            return "not used: it computes on the CPU (--allow-software-adapter takes it, and the \
                    setting allow_software_adapter)"
                .into();
        }
        match choice.index {
            Some(index) if index != self.index => format!("not used: gpu:{index} was asked for"),
            _ => "can be used".into(),
        }
    }
}

/// All adapters, also those that cannot be used.
#[must_use]
pub fn list() -> Vec<AdapterReport> {
    let found = all().into_iter();
    found.map(|(report, _)| report).collect()
}

/// The report on the adapter that would be taken.
#[must_use]
pub fn chosen(choice: AdapterChoice) -> Option<AdapterReport> {
    let usable = list().into_iter();
    let usable = usable.filter(|report| report.is_usable(choice));
    usable.min_by_key(|report| report.software)
}

/// The first adapter that fits; one that computes on the CPU only where there is no other.
pub(crate) fn choose(choice: AdapterChoice) -> Result<Adapter, DeviceError> {
    let found = all();
    if found.is_empty() {
        let why = "this machine has no Vulkan driver, or it sees no adapter".into();
        return Err(DeviceError::NoAdapter { why });
    }
    let reports = found.iter().map(|(report, _)| report);
    let lines = reports.map(|report| format!("{} is {}", report.name, report.verdict(choice)));
    let why = lines.collect::<Vec<_>>().join("; ");
    let usable = found.into_iter();
    let usable = usable.filter(|(report, _)| report.is_usable(choice));
    let best = usable.min_by_key(|(report, _)| report.software);
    best.map(|(_, adapter)| adapter)
        .ok_or(DeviceError::NoAdapter { why })
}

/// What the kernels cannot do without: products of 64 bits.
pub(crate) const FEATURES: Features = Features::SHADER_INT64;

/// Never dropped: with the last instance the loader would let go of the drivers, which threads that
/// have called them may outlive.
static INSTANCE: LazyLock<Instance> = LazyLock::new(|| {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::VULKAN;
    descriptor.flags = InstanceFlags::empty();
    Instance::new(descriptor)
});

fn all() -> Vec<(AdapterReport, Adapter)> {
    lasting::run(|| {
        let adapters = pollster::block_on(INSTANCE.enumerate_adapters(Backends::VULKAN));
        let reports = adapters.into_iter().enumerate();
        reports
            .map(|(index, adapter)| (report(index, &adapter), adapter))
            .collect()
    })
}

fn report(index: usize, adapter: &Adapter) -> AdapterReport {
    let info = adapter.get_info();
    let mut lacks = Vec::new();
    if !adapter.features().contains(FEATURES) {
        lacks.push("integers of 64 bits in shaders".to_owned());
    }
    let limits = adapter.limits();
    if limits.max_compute_invocations_per_workgroup < 64 {
        lacks.push("workgroups of 64".to_owned());
    }
    AdapterReport {
        index,
        name: info.name,
        driver: format!("{} {}", info.driver, info.driver_info)
            .trim()
            .to_owned(),
        software: info.device_type == DeviceType::Cpu,
        lacks,
    }
}
