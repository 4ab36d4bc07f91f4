//! Stop 2: every signature is checked; expired and doubled envelopes leave here.
