//! Pays 103.55 to another bank: `pay ADDRESS NODE_KEY GENESIS_HASH SEED`, the last three in hex.

use clearway_client::{Client, ClientConfig, Draft, Identity, Server, Signer};
use clearway_types::amount::Amount;
use clearway_types::hex;
use clearway_types::units::{AccountId, Digest, LedgerId, ParticipantId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, node_key, genesis, seed] = &args[..] else {
        return Err("give ADDRESS NODE_KEY GENESIS_HASH SEED".into());
    };
    let bytes = |text: &str| hex::decode_array::<32>(text).ok_or("give 64 hexadecimal digits");
    let server = Server {
        address: address.parse()?,
        public_key: bytes(node_key)?,
    };
    let bank = Identity::from_seed(&bytes(seed)?, ParticipantId(1), 0);
    let client = Client::connect(ClientConfig::new(bank.clone(), vec![server])).await?;
    let signer = Signer::new(bank, Digest(bytes(genesis)?))?.with_time(client.time());

    let (from, to) = (
        AccountId::new(ParticipantId(1), 1),
        AccountId::new(ParticipantId(2), 1),
    );
    let payment = signer.sign(Draft::transfer(from, to, Amount::new(10_355, LedgerId(1))));
    let answer = client.submit(&[payment]).await?[0];

    println!("{} at height {}", answer.outcome.code, answer.height);
    println!("{}", answer.outcome.code.help());
    client.close().await;
    Ok(())
}
