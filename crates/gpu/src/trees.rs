//! Merkle levels on a device: what `crypto::merkle` may hand over when it is told to.
//!
//! A digest carries no evidence of how it was computed. So each level is computed twice and
//! compared, a part of it is computed a third time by the CPU, and one difference ends the use of
//! the device until the program starts again; the CPU goes on. Nobody gets this without asking:
//! one core hashes 17 million nodes a second, more than a node of the cluster needs.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clearway_crypto::hash;
use clearway_crypto::merkle::Levels;
use clearway_types::units::Digest;
use crossbeam::channel::bounded;
use rand::RngExt as _;
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, Buffer, BufferUsages, ComputePipeline, MapMode,
    PollType, Queue,
};
use zerocopy::IntoBytes;

use crate::adapter::{self, AdapterChoice};
use crate::device::DeviceError;
use crate::kernels::NODE;
use crate::layout::WORKGROUP_LEN;
use crate::wgpu_device::{buffer, device_buffer, driver, groups, layout_of, pipeline, request};

/// Hashes levels of trees on a device.
pub struct GpuTrees {
    /// Nothing once the device was wrong or gone.
    device: Mutex<Option<NodeDevice>>,
}

/// The kernel `node` with its buffers.
struct NodeDevice {
    device: wgpu::Device,
    queue: Queue,
    pipeline: ComputePipeline,
    bindings: BindGroup,
    lower: Buffer,
    upper: Buffer,
    pairs: Buffer,
    readback: Buffer,
}

/// Why a level was not believed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("no digests after {0:?}")]
    Late(Duration),
    #[error("two runs gave different digests")]
    Unsteady,
    #[error("node {0} is wrong")]
    Wrong(usize),
}

impl GpuTrees {
    /// Opens an adapter and compares known nodes with the CPU's.
    ///
    /// # Errors
    /// Why the device is not used.
    pub fn open(choice: AdapterChoice) -> Result<Self, DeviceError> {
        let device = NodeDevice::open(choice)?;
        let known: Vec<Digest> = (0..=255).map(|byte| Digest([byte; 32])).collect();
        let found = device.level_believed(&known).and_then(|upper| {
            let wrong = upper
                .iter()
                .zip(pairs_of(&known))
                .position(|(found, [left, right])| *found != hash::node(left, right));
            wrong.map_or(Ok(()), |at| Err(Fault::Wrong(at)))
        });
        found.map_err(|fault| DeviceError::Driver {
            at: "the self-test of hashing",
            why: fault.to_string(),
        })?;
        Ok(Self {
            device: Mutex::new(Some(device)),
        })
    }
}

impl Levels for GpuTrees {
    fn nodes(&self, lower: &[Digest]) -> Option<Vec<Digest>> {
        let mut device = self.device.lock().expect("nothing panics under it");
        let mut upper = Vec::with_capacity(lower.len() / 2);
        for part in lower.chunks(2 * PAIRS_MAX) {
            match device.as_ref()?.level_believed(part) {
                Ok(nodes) => upper.extend(nodes),
                Err(fault) => {
                    tracing::error!(%fault, "the GPU hashes no longer; the CPU does");
                    *device = None;
                    return None;
                }
            }
        }
        Some(upper)
    }
}

impl NodeDevice {
    fn open(choice: AdapterChoice) -> Result<Self, DeviceError> {
        let adapter = adapter::choose(choice)?;
        let (device, queue) = request(&adapter)?;
        let layout = layout_of(&device, "node", &[true, false, true]);
        let pipeline = pipeline(&device, &layout, &NODE, None);
        let lower = device_buffer(&device, "lower", 16 * PAIRS_MAX);
        let upper = device_buffer(&device, "upper", 8 * PAIRS_MAX);
        let pairs = device_buffer(&device, "pairs", 4);
        let to_host = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let readback = buffer(&device, "nodes", 8 * PAIRS_MAX, to_host, false);
        let entries: Vec<_> = (0..)
            .zip([&lower, &upper, &pairs])
            .map(|(binding, buffer)| BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let bindings = device.create_bind_group(&BindGroupDescriptor {
            label: Some("node"),
            layout: &layout,
            entries: &entries,
        });
        Ok(Self {
            device,
            queue,
            pipeline,
            bindings,
            lower,
            upper,
            pairs,
            readback,
        })
    }

    /// One level, twice the same, and right wherever the CPU looks.
    fn level_believed(&self, lower: &[Digest]) -> Result<Vec<Digest>, Fault> {
        let nodes = self.level(lower)?;
        if self.level(lower)? != nodes {
            return Err(Fault::Unsteady);
        }
        let mut rng = rand::rng();
        for _ in 0..1 + nodes.len() / SAMPLE {
            let at = rng.random_range(0..nodes.len());
            if nodes[at] != hash::node(&lower[2 * at], &lower[2 * at + 1]) {
                return Err(Fault::Wrong(at));
            }
        }
        Ok(nodes)
    }

    fn level(&self, lower: &[Digest]) -> Result<Vec<Digest>, Fault> {
        let count = lower.len() / 2;
        let bytes: Vec<[u8; 32]> = lower.iter().map(|digest| digest.0).collect();
        let pairs = [u32::try_from(count).expect("PAIRS_MAX bounds it"), 0, 0, 0];
        self.queue.write_buffer(&self.lower, 0, bytes.as_bytes());
        self.queue.write_buffer(&self.pairs, 0, pairs.as_bytes());
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_bind_group(0, &self.bindings, &[]);
            pass.set_pipeline(&self.pipeline);
            pass.dispatch_workgroups(groups(count), 1, 1);
        }
        let size = 32 * count as u64;
        encoder.copy_buffer_to_buffer(&self.upper, 0, &self.readback, 0, size);
        let submission = self.queue.submit([encoder.finish()]);
        let (sender, mapped) = bounded(1);
        let readback = self.readback.slice(..size);
        readback.map_async(MapMode::Read, move |outcome| drop(sender.send(outcome)));
        let since = Instant::now();
        let waiting = PollType::Wait {
            submission_index: Some(submission),
            timeout: Some(PATIENCE),
        };
        // Whether it came in time is the callback's to say.
        drop(self.device.poll(waiting));
        match mapped.try_recv() {
            Ok(outcome) => outcome.map_err(driver("reading digests"))?,
            Err(_) => return Err(Fault::Late(since.elapsed())),
        }
        let nodes = {
            let view = readback
                .get_mapped_range()
                .map_err(driver("reading digests"))?;
            let (digests, _) = view.as_chunks::<32>();
            digests.iter().map(|digest| Digest(*digest)).collect()
        };
        self.readback.unmap();
        Ok(nodes)
    }
}

impl fmt::Debug for GpuTrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuTrees").finish_non_exhaustive()
    }
}

fn pairs_of(lower: &[Digest]) -> &[[Digest; 2]] {
    lower.as_chunks().0
}

/// Pairs of one dispatch: 4 MiB of digests.
const PAIRS_MAX: usize = 65_536;
/// One node in so many is computed by the CPU too, and one a level at least.
const SAMPLE: usize = 256;
/// Longest wait for a level; the first one compiles.
const PATIENCE: Duration = Duration::from_secs(60);
const _: () = assert!(PAIRS_MAX.div_ceil(WORKGROUP_LEN) <= 65_535);
