//! Figures of the store; `node` puts them on the metrics page.

clearway_flow::metrics! {
    /// What the store has done since it was opened.
    pub struct StoreMetrics in "store" {
        /// Records appended, durable or not yet.
        records: total,
        /// Payload bytes appended.
        payload_bytes: total,
        /// Bytes written to segments: headers and padding included.
        written_bytes: total,
        /// Time of a group commit's two syncs together; each made something durable.
        sync: times,
        /// The newest durable record's sequence.
        durable_sequence: gauge,
        /// Segments opened for writing after another was full.
        segments_rolled: total,
        /// Rolls that had to wait for a zero-filled segment because none was prepared.
        segments_unprepared: total,
        /// Times a segment could not be reserved for lack of space.
        disk_full: total,
        /// Writes and syncs that failed; the first one stops the writer.
        write_failures: total,
        /// Times the watermark file was found damaged, lost or replaced while running.
        watermarks_damaged: total,
        /// Files of the log that were damaged or removed while running and written anew, except
        /// the watermark.
        files_restored: total,
        /// Records read.
        reads: total,
        /// Payload bytes read.
        read_bytes: total,
        /// Damaged records met by readers.
        corrupt: total,
        /// Index files built, those in place of damaged ones included.
        indexes_built: total,
        /// Index files found damaged or foreign, and files of identifiers lost, while running, too.
        indexes_damaged: total,
    }
}
