//! The device behind wgpu: buffers, pipelines and the ring of slots.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, TryRecvError, bounded};
use wgpu::{
    Adapter, BindGroup, BindGroupDescriptor, BindGroupEntry, BindGroupLayout,
    BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, Buffer, BufferBindingType,
    BufferDescriptor, BufferUsages, ComputePipeline, ComputePipelineDescriptor, DeviceDescriptor,
    ErrorFilter, Features, MapMode, PipelineCache, PipelineCompilationOptions,
    PipelineLayoutDescriptor, PollError, PollType, Queue, ShaderModuleDescriptor, ShaderSource,
    ShaderStages, SubmissionIndex,
};
use zerocopy::IntoBytes;

use crate::adapter::{self, AdapterChoice};
use crate::batch::Batch;
use crate::device::{Device, DeviceError, Size};
use crate::kernels::{Kernel, VERIFICATION};
use crate::layout::{
    HEAD_ITEM_COUNT, HEAD_KEY_COUNT, RESULT_WORDS, RUN_LEN, SCRATCH_WORDS, SLOT_WORDS,
    WORKGROUP_LEN,
};
use crate::pipeline_cache::KeptPipelines;
use crate::twin::kernels::base_table;

/// A device, its tables and its ring.
#[derive(Debug)]
pub struct WgpuDevice {
    device: wgpu::Device,
    queue: Queue,
    size: Size,
    /// In the order of [`VERIFICATION`].
    pipelines: Vec<ComputePipeline>,
    /// Kept for tests, which compare it with the twin's.
    #[cfg_attr(not(test), expect(dead_code, reason = "slots bind them"))]
    tables: Tables,
    slots: Vec<Slot>,
}

/// What all slots share.
#[derive(Debug)]
struct Tables {
    base: Buffer,
    keys: Buffer,
    scratch: Buffer,
}

/// Buffers of one batch under way.
#[derive(Debug)]
struct Slot {
    /// Written by the host while mapped.
    staging: Buffer,
    batch: Buffer,
    results: Buffer,
    /// Read by the host once mapped.
    readback: Buffer,
    bindings: BindGroup,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    submission: SubmissionIndex,
    items: usize,
    mapped: Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl WgpuDevice {
    /// Opens the adapter and compiles the kernels: seconds, unless a folder keeps them from a start
    /// before.
    ///
    /// # Errors
    /// When no adapter fits, or the driver fails.
    pub fn open(
        choice: AdapterChoice,
        size: Size,
        kept_in: Option<&Path>,
    ) -> Result<Self, DeviceError> {
        let adapter = adapter::choose(choice)?;
        check_limits(&adapter, size)?;
        let (device, queue) = request(&adapter)?;
        let scope = device.push_error_scope(ErrorFilter::Validation);
        let info = adapter.get_info();
        let kept = kept_in.and_then(|folder| KeptPipelines::open(folder, &info, &device));
        let bound = [true, true, false, false, false];
        let layout = layout_of(&device, "verification", &bound);
        let pipelines = VERIFICATION
            .iter()
            .map(|kernel| {
                let cache = kept.as_ref().map(KeptPipelines::cache);
                pipeline(&device, &layout, kernel, cache)
            })
            .collect();
        if let Some(kept) = &kept {
            kept.keep();
        }
        let multiples = base_table();
        let tables = Tables {
            base: device_buffer(&device, "base table", multiples.len()),
            keys: device_buffer(&device, "key table", size.key_slots * SLOT_WORDS),
            scratch: device_buffer(&device, "scratch", size.items_max * SCRATCH_WORDS),
        };
        queue.write_buffer(&tables.base, 0, multiples.as_bytes());
        let slots = (0..size.ring_len)
            .map(|_| Slot::new(&device, &layout, &tables, size))
            .collect();
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(driver("set-up")(error));
        }
        Ok(Self {
            device,
            queue,
            size,
            pipelines,
            tables,
            slots,
        })
    }

    /// Destroys the device under whatever runs on it, as a driver does that resets: for tests.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// Runs a batch kernel by kernel and waits after each: its time by the wall, which holds some
    /// 20 us of the driver's. For those who tune; no slot may be under way.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn kernel_times(
        &mut self,
        batch: &Batch<'_>,
    ) -> Result<Vec<(&'static str, Duration)>, DeviceError> {
        let slot = &self.slots[0];
        assert!(slot.under_way.is_none(), "a free slot");
        let words = batch.words();
        self.queue.write_buffer(&slot.batch, 0, words.as_bytes());
        self.queue.submit([]);
        let wait = || {
            let polled = self.device.poll(PollType::wait_indefinitely());
            polled.map(drop).map_err(driver("waiting"))
        };
        wait()?;
        let mut times = Vec::with_capacity(VERIFICATION.len());
        for (at, threads) in threads(batch).into_iter().enumerate() {
            let since = Instant::now();
            let mut encoder = self.device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_bind_group(0, &slot.bindings, &[]);
                pass.set_pipeline(&self.pipelines[at]);
                pass.dispatch_workgroups(groups(threads), 1, 1);
            }
            self.queue.submit([encoder.finish()]);
            wait()?;
            times.push((VERIFICATION[at].name, since.elapsed()));
        }
        Ok(times)
    }

    /// Waits for the map of a readback buffer; nothing when it takes longer.
    fn wait(&self, slot: usize, timeout: Duration) -> Result<bool, DeviceError> {
        let under_way = self.slots[slot].under_way.as_ref().expect("a batch in it");
        let waiting = PollType::Wait {
            submission_index: Some(under_way.submission.clone()),
            timeout: Some(timeout),
        };
        match self.device.poll(waiting) {
            Ok(_) | Err(PollError::Timeout) => {}
            Err(error) => return Err(driver("waiting")(error)),
        }
        // The callback's word counts: polls of a lost device succeed.
        match under_way.mapped.try_recv() {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(driver("reading results")(error)),
            Err(TryRecvError::Empty) => Ok(false),
            Err(error @ TryRecvError::Disconnected) => Err(driver("reading results")(error)),
        }
    }
}

impl Device for WgpuDevice {
    fn size(&self) -> Size {
        self.size
    }

    fn submit(&mut self, slot: usize, batch: &Batch<'_>) -> Result<(), DeviceError> {
        let items = batch.head[HEAD_ITEM_COUNT] as usize;
        let words: usize = batch.parts().map(<[u32]>::len).sum();
        assert!(items <= self.size.items_max && words <= self.size.batch_words_max);
        let slot = &mut self.slots[slot];
        assert!(slot.under_way.is_none(), "a free slot");
        let bytes = 4 * words as u64;
        {
            let staging = slot.staging.get_mapped_range_mut(..bytes);
            let mut staging = staging.map_err(driver("writing a batch"))?;
            let mut end = 0;
            for part in batch.parts() {
                let part = part.as_bytes();
                staging.slice(end..end + part.len()).copy_from_slice(part);
                end += part.len();
            }
        }
        slot.staging.unmap();
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&slot.staging, 0, &slot.batch, 0, bytes);
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_bind_group(0, &slot.bindings, &[]);
            for (pipeline, threads) in self.pipelines.iter().zip(threads(batch)) {
                if threads > 0 {
                    pass.set_pipeline(pipeline);
                    pass.dispatch_workgroups(groups(threads), 1, 1);
                }
            }
        }
        let result_bytes = result_bytes(items);
        encoder.copy_buffer_to_buffer(&slot.results, 0, &slot.readback, 0, result_bytes);
        let submission = self.queue.submit([encoder.finish()]);
        let (sender, mapped) = bounded(1);
        let readback = slot.readback.slice(..result_bytes);
        readback.map_async(MapMode::Read, move |outcome| drop(sender.send(outcome)));
        slot.under_way = Some(UnderWay {
            submission,
            items,
            mapped,
        });
        Ok(())
    }

    fn collect(
        &mut self,
        slot: usize,
        timeout: Duration,
        results: &mut Vec<u32>,
    ) -> Result<bool, DeviceError> {
        if !self.wait(slot, timeout)? {
            return Ok(false);
        }
        let slot = &mut self.slots[slot];
        let items = slot.under_way.take().expect("a batch in it").items;
        results.resize(items * RESULT_WORDS, 0);
        {
            let view = slot
                .readback
                .get_mapped_range(..result_bytes(items))
                .map_err(driver("reading results"))?;
            results.as_mut_bytes().copy_from_slice(&view);
        }
        slot.readback.unmap();
        // The copy out of it is done, so this returns at once.
        let (sender, mapped) = bounded(1);
        let staging = slot.staging.slice(..);
        staging.map_async(MapMode::Write, move |outcome| drop(sender.send(outcome)));
        self.device
            .poll(PollType::Poll)
            .map_err(driver("polling"))?;
        match mapped.try_recv() {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(driver("mapping a batch")(error)),
            Err(error) => Err(driver("mapping a batch")(error)),
        }
    }
}

impl Slot {
    fn new(device: &wgpu::Device, layout: &BindGroupLayout, tables: &Tables, size: Size) -> Self {
        let (words, result_words) = (size.batch_words_max, size.items_max * RESULT_WORDS);
        let to_device = BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC;
        let to_host = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let batch = device_buffer(device, "batch", words);
        let results = device_buffer(device, "results", result_words);
        let buffers = [
            &batch,
            &tables.base,
            &tables.keys,
            &tables.scratch,
            &results,
        ];
        let bindings = bind(device, "verification", layout, &buffers);
        Self {
            staging: buffer(device, "staging", words, to_device, true),
            readback: buffer(device, "readback", result_words, to_host, false),
            batch,
            results,
            bindings,
            under_way: None,
        }
    }
}

/// A device error of this step, in the driver's words.
pub(crate) fn driver<E: std::fmt::Display>(at: &'static str) -> impl Fn(E) -> DeviceError {
    move |error| DeviceError::Driver {
        at,
        why: error.to_string(),
    }
}

fn check_limits(adapter: &Adapter, size: Size) -> Result<(), DeviceError> {
    let limits = adapter.limits();
    let rows = [
        ("key_slots", size.key_slots * SLOT_WORDS),
        ("items_max", size.items_max * SCRATCH_WORDS),
        ("batch_words_max", size.batch_words_max),
    ];
    for (setting, words) in rows {
        let bytes = 4 * words as u64;
        let max = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        if bytes > max {
            return Err(DeviceError::Unfit {
                adapter: adapter.get_info().name,
                lacks: format!("buffers of {bytes} bytes ({max} at most): lower {setting}"),
            });
        }
    }
    Ok(())
}

/// The adapter's device, with all of its limits; errors go to the log.
pub(crate) fn request(adapter: &Adapter) -> Result<(wgpu::Device, Queue), DeviceError> {
    let descriptor = DeviceDescriptor {
        label: Some("clearway"),
        required_features: adapter::FEATURES | (adapter.features() & Features::PIPELINE_CACHE),
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
        .map_err(driver("opening the device"))?;
    // Results that never come, or come wrong, are how the batch queue learns of it; this is for
    // people.
    device.on_uncaptured_error(Arc::new(|error: wgpu::Error| {
        tracing::error!(%error, "the GPU's driver reports an error");
    }));
    device.set_device_lost_callback(|reason, message| {
        tracing::warn!(?reason, message, "the GPU is lost");
    });
    Ok((device, queue))
}

/// Buffers of words in the order of their bindings, and which of them are only read.
pub(crate) fn layout_of(device: &wgpu::Device, label: &str, read_only: &[bool]) -> BindGroupLayout {
    let entry = |(binding, &read_only)| BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer {
            ty: BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = (0..).zip(read_only).map(entry).collect();
    device.create_bind_group_layout(&BindGroupLayoutDescriptor {
        label: Some(label),
        entries: &entries,
    })
}

/// Whole buffers in the order of their bindings.
pub(crate) fn bind(
    device: &wgpu::Device,
    label: &str,
    layout: &BindGroupLayout,
    buffers: &[&Buffer],
) -> BindGroup {
    let entries: Vec<_> = (0..)
        .zip(buffers)
        .map(|(binding, buffer)| BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        })
        .collect();
    device.create_bind_group(&BindGroupDescriptor {
        label: Some(label),
        layout,
        entries: &entries,
    })
}

/// A compiled kernel.
pub(crate) fn pipeline(
    device: &wgpu::Device,
    layout: &BindGroupLayout,
    kernel: &Kernel,
    cache: Option<&PipelineCache>,
) -> ComputePipeline {
    let module = device.create_shader_module(ShaderModuleDescriptor {
        label: Some(kernel.name),
        source: ShaderSource::Wgsl(kernel.source().into()),
    });
    let layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
        label: Some(kernel.name),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    device.create_compute_pipeline(&ComputePipelineDescriptor {
        label: Some(kernel.name),
        layout: Some(&layout),
        module: &module,
        entry_point: Some(kernel.name),
        compilation_options: PipelineCompilationOptions::default(),
        cache,
    })
}

/// A buffer that kernels use.
pub(crate) fn device_buffer(device: &wgpu::Device, label: &str, words: usize) -> Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    buffer(device, label, words, usage, false)
}

/// A buffer of this many words.
pub(crate) fn buffer(
    device: &wgpu::Device,
    label: &str,
    words: usize,
    usage: BufferUsages,
    mapped_at_creation: bool,
) -> Buffer {
    device.create_buffer(&BufferDescriptor {
        label: Some(label),
        size: 4 * words as u64,
        usage,
        mapped_at_creation,
    })
}

/// Threads of each kernel of [`VERIFICATION`] for this batch.
fn threads(batch: &Batch<'_>) -> [usize; 5] {
    let (items, keys) = (batch.head[HEAD_ITEM_COUNT], batch.head[HEAD_KEY_COUNT]);
    let (items, keys) = (items as usize, keys as usize);
    [keys, items, items, items.div_ceil(RUN_LEN), items]
}

fn result_bytes(items: usize) -> u64 {
    4 * (items * RESULT_WORDS) as u64
}

/// Workgroups for this many threads.
pub(crate) fn groups(threads: usize) -> u32 {
    u32::try_from(threads.div_ceil(WORKGROUP_LEN)).expect("items_max bounds it")
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod probe_tests;
#[cfg(test)]
#[path = "wgpu_tests.rs"]
mod tests;
