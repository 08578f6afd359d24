#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pol_fuzz::run("snapshot", data));
