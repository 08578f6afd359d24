//! The example of the README, run as it stands.

#[path = "../examples/two_nodes.rs"]
mod two_nodes;

#[test]
fn two_nodes_of_the_example_exchange_a_delta_and_an_ack() {
    two_nodes::main().unwrap();
}
