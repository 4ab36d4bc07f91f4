//! Hashing on a device: what `crypto::hash` may offload when it is told to.
//!
//! A digest carries no evidence of how it was computed. So everything is computed twice and
//! compared, a part of it is computed a third time by the CPU, and one difference ends the use of
//! the device until the program starts again; the CPU goes on. Nobody gets this without asking:
//! one core hashes 17 million nodes or 6 million envelopes a second, more than its ledger executes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clearway_crypto::hash::{self, Offload};
use clearway_types::batch::EnvelopeDigests;
use clearway_types::envelope::{ENVELOPE_BYTES, envelopes};
use clearway_types::units::Digest;
use crossbeam::channel::bounded;
use parking_lot::Mutex;
use rand::RngExt as _;
use wgpu::{BindGroup, Buffer, BufferUsages, ComputePipeline, MapMode, PollType, Queue};
use zerocopy::IntoBytes;

use crate::adapter::{self, AdapterChoice};
use crate::device::DeviceError;
use crate::kernels::{Kernel, LEAF, NODE};
use crate::lasting;
use crate::layout::WORKGROUP_LEN;
use crate::wgpu_device::{
    bind, buffer, device_buffer, driver, groups, layout_of, pipeline, request,
};

/// Hashes nodes and envelopes on a device.
pub struct GpuHashes {
    /// Nothing once the device was wrong or gone.
    device: Arc<Mutex<Option<HashDevice>>>,
}

struct HashDevice {
    device: wgpu::Device,
    queue: Queue,
    nodes: Hasher,
    leaves: Hasher,
}

/// One kernel with its buffers: items of this many bytes in, and out.
struct Hasher {
    item_bytes: usize,
    digest_bytes: usize,
    pipeline: ComputePipeline,
    bindings: BindGroup,
    input: Buffer,
    output: Buffer,
    count: Buffer,
    readback: Buffer,
}

/// Why digests were not believed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("no digests after {0:?}")]
    Late(Duration),
    #[error("two runs gave different digests")]
    Unsteady,
    #[error("digest {0} is wrong")]
    Wrong(usize),
}

impl GpuHashes {
    /// Opens an adapter and compares known digests with the CPU's.
    ///
    /// # Errors
    /// Why the device is not used.
    pub fn open(choice: AdapterChoice) -> Result<Self, DeviceError> {
        let device = lasting::run(move || HashDevice::tested(choice))?;
        Ok(Self {
            device: Arc::new(Mutex::new(Some(device))),
        })
    }

    /// All digests, part by part; after a fault never again.
    fn hash(
        &self,
        bytes: Vec<u8>,
        hasher: fn(&HashDevice) -> &Hasher,
        is_right: fn(&[u8], &[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let device = Arc::clone(&self.device);
        lasting::run(move || {
            let mut device = device.lock();
            let part_bytes = hasher(device.as_ref()?).item_bytes * ITEMS_MAX;
            let mut digests = Vec::new();
            for part in bytes.chunks(part_bytes) {
                let open = device.as_ref()?;
                match open.believed(hasher(open), part, SAMPLE, is_right) {
                    Ok(more) => digests.extend(more),
                    Err(fault) => {
                        tracing::error!(%fault, "the GPU hashes no longer; the CPU does");
                        *device = None;
                        return None;
                    }
                }
            }
            Some(digests)
        })
    }
}

impl Offload for GpuHashes {
    fn nodes(&self, lower: &[Digest]) -> Option<Vec<Digest>> {
        let bytes: Vec<[u8; 32]> = lower.iter().map(|digest| digest.0).collect();
        let bytes = bytes.into_flattened();
        let nodes = self.hash(bytes, |device| &device.nodes, node_is)?;
        let (nodes, _) = nodes.as_chunks();
        Some(nodes.iter().map(|node| Digest(*node)).collect())
    }

    fn envelopes(&self, slab: &[u8]) -> Option<Vec<EnvelopeDigests>> {
        let slab = slab.to_vec();
        let digests = self.hash(slab, |device| &device.leaves, leaf_is)?;
        let (digests, _) = digests.as_chunks::<LEAF_BYTES>();
        Some(digests.iter().map(digests_of).collect())
    }
}

impl HashDevice {
    /// One that answers known questions as the CPU does.
    fn tested(choice: AdapterChoice) -> Result<Self, DeviceError> {
        let device = Self::open(choice)?;
        let known: Vec<u8> = (0..=255).cycle().take(96 * ENVELOPE_BYTES).collect();
        let tested = device
            .believed(&device.nodes, &known, 1, node_is)
            .and_then(|_| device.believed(&device.leaves, &known, 1, leaf_is));
        tested.map_err(|fault| DeviceError::Driver {
            at: "the self-test of hashing",
            why: fault.to_string(),
        })?;
        Ok(device)
    }

    fn open(choice: AdapterChoice) -> Result<Self, DeviceError> {
        let adapter = adapter::choose(choice)?;
        let (device, queue) = request(&adapter)?;
        Ok(Self {
            nodes: Hasher::new(&device, &NODE, 64, 32),
            leaves: Hasher::new(&device, &LEAF, ENVELOPE_BYTES, LEAF_BYTES),
            device,
            queue,
        })
    }

    /// Digests that are twice the same, and right wherever the CPU looks: at a sample.
    fn believed(
        &self,
        hasher: &Hasher,
        bytes: &[u8],
        sample: usize,
        is_right: fn(&[u8], &[u8]) -> bool,
    ) -> Result<Vec<u8>, Fault> {
        let digests = self.run(hasher, bytes)?;
        if self.run(hasher, bytes)? != digests {
            return Err(Fault::Unsteady);
        }
        let items: Vec<_> = bytes.chunks(hasher.item_bytes).collect();
        let mut rng = rand::rng();
        for drawn in 0..items.len().div_ceil(sample) {
            let at = match sample {
                1 => drawn,
                _ => rng.random_range(0..items.len()),
            };
            let digest = &digests[at * hasher.digest_bytes..][..hasher.digest_bytes];
            if !is_right(items[at], digest) {
                return Err(Fault::Wrong(at));
            }
        }
        Ok(digests)
    }

    fn run(&self, hasher: &Hasher, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let count = bytes.len() / hasher.item_bytes;
        let count_word = u32::try_from(count).expect("ITEMS_MAX bounds it");
        self.queue.write_buffer(&hasher.input, 0, bytes);
        self.queue
            .write_buffer(&hasher.count, 0, count_word.as_bytes());
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_bind_group(0, &hasher.bindings, &[]);
            pass.set_pipeline(&hasher.pipeline);
            pass.dispatch_workgroups(groups(count), 1, 1);
        }
        let size = (count * hasher.digest_bytes) as u64;
        encoder.copy_buffer_to_buffer(&hasher.output, 0, &hasher.readback, 0, size);
        let submission = self.queue.submit([encoder.finish()]);
        let (sender, mapped) = bounded(1);
        let readback = hasher.readback.slice(..size);
        readback.map_async(MapMode::Read, move |outcome| drop(sender.send(outcome)));
        let since = Instant::now();
        let waiting = PollType::Wait {
            submission_index: Some(submission),
            timeout: Some(TIMEOUT),
        };
        // Whether it came in time is the callback's to say.
        drop(self.device.poll(waiting));
        match mapped.try_recv() {
            Ok(outcome) => outcome.map_err(driver("reading digests"))?,
            Err(_) => return Err(Fault::Late(since.elapsed())),
        }
        let view = readback.get_mapped_range();
        let digests = view.map_err(driver("reading digests"))?.to_vec();
        hasher.readback.unmap();
        Ok(digests)
    }
}

impl Hasher {
    fn new(device: &wgpu::Device, kernel: &Kernel, item_bytes: usize, digest_bytes: usize) -> Self {
        let layout = layout_of(device, kernel.name, &[true, false, true]);
        let input = device_buffer(device, "input", ITEMS_MAX * item_bytes / 4);
        let output = device_buffer(device, "output", ITEMS_MAX * digest_bytes / 4);
        let count = device_buffer(device, "count", 1);
        let to_host = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let readback = buffer(
            device,
            "digests",
            ITEMS_MAX * digest_bytes / 4,
            to_host,
            false,
        );
        let buffers = [&input, &output, &count];
        let bindings = bind(device, kernel.name, &layout, &buffers);
        Self {
            item_bytes,
            digest_bytes,
            pipeline: pipeline(device, &layout, kernel, None),
            bindings,
            input,
            output,
            count,
            readback,
        }
    }
}

impl fmt::Debug for GpuHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuHashes").finish_non_exhaustive()
    }
}

fn node_is(pair: &[u8], digest: &[u8]) -> bool {
    hash::sha256(&[pair]).0 == digest
}

fn leaf_is(envelope: &[u8], digest: &[u8]) -> bool {
    let expected = hash::envelope_digests(&envelopes(envelope)[0]);
    digest.first_chunk().map(digests_of) == Some(expected)
}

/// What the kernel `leaf` writes for one envelope.
fn digests_of(bytes: &[u8; LEAF_BYTES]) -> EnvelopeDigests {
    let (body, leaf) = bytes.split_at(16);
    EnvelopeDigests {
        body: body.try_into().expect("16 bytes"),
        leaf: Digest(leaf.try_into().expect("32 bytes")),
    }
}

/// Half of the body's hash, and the leaf.
const LEAF_BYTES: usize = 48;
/// Items of one dispatch: 12 MiB of envelopes.
const ITEMS_MAX: usize = 65_536;
/// One digest in this many is computed by the CPU too.
const SAMPLE: usize = 256;
/// Longest wait for digests; the first ones wait for the compiler.
const TIMEOUT: Duration = Duration::from_secs(60);
const _: () = assert!(ITEMS_MAX.div_ceil(WORKGROUP_LEN) <= 65_535);
