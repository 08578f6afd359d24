// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// The ABI that consensus clients know (consensus specification, Deneb: solidity_deposit_contract).
interface IDepositContract {
    /// One deposit. Numbers are 8 little-endian bytes.
    event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);

    function deposit(
        bytes calldata pubkey,
        bytes calldata withdrawal_credentials,
        bytes calldata signature,
        bytes32 deposit_data_root
    ) external payable;

    /// Root of the list of all deposits, as `eth1_data.deposit_root` holds it.
    function get_deposit_root() external view returns (bytes32);

    /// Number of deposits, 8 little-endian bytes.
    function get_deposit_count() external view returns (bytes memory);
}

/// ERC-165.
interface IERC165 {
    function supportsInterface(bytes4 interfaceId) external pure returns (bool);
}

/// Takes deposits of validators and keeps the Merkle root of all of them in an incremental tree of depth 32.
///
/// There is no constructor, and the storage of an empty tree is all zeros: the runtime code alone, put into the genesis state, is the whole
/// contract. Hashes of empty subtrees are computed where they are needed.
///
/// It does not protect against a signature that is wrong: the beacon chain checks it, and keeps the money.
contract DepositContract is IDepositContract, IERC165 {
    uint256 private constant DEPTH = 32;
    uint256 private constant MAX_DEPOSITS = 2 ** DEPTH - 1;

    /// The filled left subtree of each height, where the number of deposits has that bit.
    bytes32[DEPTH] private branch;
    uint256 private count;

    function deposit(
        bytes calldata pubkey,
        bytes calldata withdrawal_credentials,
        bytes calldata signature,
        bytes32 deposit_data_root
    ) external payable override {
        require(pubkey.length == 48, "deposit: pubkey is not 48 bytes");
        require(withdrawal_credentials.length == 32, "deposit: withdrawal_credentials is not 32 bytes");
        require(signature.length == 96, "deposit: signature is not 96 bytes");
        require(msg.value >= 1 ether, "deposit: less than 1 ether");
        require(msg.value % 1 gwei == 0, "deposit: not a whole number of gwei");
        uint256 gweis = msg.value / 1 gwei;
        require(gweis <= type(uint64).max, "deposit: more than 2^64 - 1 gwei");
        require(count < MAX_DEPOSITS, "deposit: the tree is full");

        bytes8 amount = littleEndian(uint64(gweis));
        bytes32 leaf = dataRoot(pubkey, withdrawal_credentials, amount, signature);
        require(leaf == deposit_data_root, "deposit: deposit_data_root is of other data");

        emit DepositEvent(
            pubkey,
            withdrawal_credentials,
            abi.encodePacked(amount),
            signature,
            abi.encodePacked(littleEndian(uint64(count)))
        );
        insert(leaf);
    }

    function get_deposit_root() external view override returns (bytes32) {
        bytes32 node = 0;
        bytes32 zero = 0;
        uint256 size = count;
        for (uint256 height = 0; height < DEPTH; height++) {
            node = size & 1 == 1 ? hash(branch[height], node) : hash(node, zero);
            zero = hash(zero, zero);
            size >>= 1;
        }
        return sha256(abi.encodePacked(node, littleEndian(uint64(count)), bytes24(0)));
    }

    function get_deposit_count() external view override returns (bytes memory) {
        return abi.encodePacked(littleEndian(uint64(count)));
    }

    function supportsInterface(bytes4 interfaceId) external pure override returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IDepositContract).interfaceId;
    }

    /// The leaf joins as many filled left subtrees as the new number of deposits has trailing zero bits.
    function insert(bytes32 node) private {
        uint256 size = ++count;
        uint256 height = 0;
        while (size & 1 == 0) {
            node = hash(branch[height], node);
            size >>= 1;
            height++;
        }
        branch[height] = node;
    }

    /// hash_tree_root(DepositData).
    function dataRoot(
        bytes calldata pubkey,
        bytes calldata withdrawal_credentials,
        bytes8 amount,
        bytes calldata signature
    ) private pure returns (bytes32) {
        bytes32 pubkeyRoot = sha256(abi.encodePacked(pubkey, bytes16(0)));
        bytes32 signatureRoot =
            hash(sha256(signature[:64]), sha256(abi.encodePacked(signature[64:], bytes32(0))));
        return hash(
            hash(pubkeyRoot, bytes32(withdrawal_credentials)),
            sha256(abi.encodePacked(amount, bytes24(0), signatureRoot))
        );
    }

    function hash(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(left, right));
    }

    function littleEndian(uint64 value) private pure returns (bytes8) {
        uint64 reversed = 0;
        for (uint256 i = 0; i < 8; i++) {
            reversed = (reversed << 8) | (value & 0xff);
            value >>= 8;
        }
        return bytes8(reversed);
    }
}
