//! Stop 3: lanes of batches, put in one order by the BFT engine.
