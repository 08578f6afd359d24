// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// What a test needs of a contract. Counter.hex is this, by solc 0.8.30 for Cancun with the optimizer's 200 runs.
contract Counter {
    event Added(address indexed who, uint256 by, uint256 total);

    error TooMuch(uint256 by);

    uint256 public total;

    function add(uint256 by) external returns (uint256) {
        if (by > 100) revert TooMuch(by);
        require(by != 0, "nothing to add");
        total += by;
        emit Added(msg.sender, by, total);
        return total;
    }
}
