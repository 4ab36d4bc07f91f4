//! Workloads: accounts with opening balances and payments between them, generated or read.

use clearway_crypto::hash::sha256;
use clearway_types::codec::Writer;
use clearway_types::units::{AccountId, Digest, ParticipantId};
use serde::{Deserialize, Serialize};

use crate::cluster::{BANK_COUNT, bank};
use crate::random::{Random, Zipf};

/// One account and what it holds before the first payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The account; its bank owns it.
    pub id: AccountId,
    /// Minor units.
    pub balance: u64,
}

/// One payment, by positions in the list of accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payment {
    /// Account that pays.
    pub debit: u32,
    /// Account that is paid.
    pub credit: u32,
    /// Minor units.
    pub amount: u64,
}

/// What is done between the accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Pattern {
    /// A TRANSFER each.
    #[default]
    Transfers,
    /// A TRANSFER each, half of them from the first account.
    HotDebtor,
    /// By turns a HOLD and the POST of all of it.
    Holds,
    /// TRANSFERs by twos from one account, which settle together or not at all.
    Linked,
    /// By turns a TRANSFER and the RETURN of all of it.
    Returns,
}

impl Pattern {
    /// Payments that belong together, and on one stream.
    #[must_use]
    pub fn group(self) -> usize {
        match self {
            Self::Transfers | Self::HotDebtor => 1,
            Self::Holds | Self::Linked | Self::Returns => 2,
        }
    }

    /// The payment that belongs to an earlier one, where it follows from that.
    fn second(self, first: Payment) -> Option<Payment> {
        match self {
            Self::Transfers | Self::HotDebtor | Self::Linked => None,
            Self::Holds => Some(first),
            Self::Returns => Some(Payment {
                debit: first.credit,
                credit: first.debit,
                ..first
            }),
        }
    }

    /// Stands before the name of a workload.
    fn prefix(self) -> &'static str {
        match self {
            Self::Transfers => "",
            Self::HotDebtor => "hot debtor, ",
            Self::Holds => "hold and post, ",
            Self::Linked => "linked, ",
            Self::Returns => "returns, ",
        }
    }
}

/// Accounts and payments in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// What it is, for the report.
    pub name: String,
    /// The accounts.
    pub accounts: Vec<Opening>,
    /// The payments.
    pub payments: Vec<Payment>,
    /// What they are sent as.
    pub pattern: Pattern,
    /// Signatures in a thousand that are wrong.
    pub invalid_permille: u16,
    /// What its files held, if it was read.
    pub rows: Option<FileRows>,
}

/// Rows of a workload's files: nothing of a file is passed over without being counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileRows {
    /// Rows of the payments file, all of them payments.
    pub payments: u64,
    /// Rows of the accounts file.
    pub accounts: u64,
    /// Lines of both that were empty.
    pub empty_lines: u64,
}

/// How a workload is generated.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Generator {
    /// Seed of everything random.
    pub seed: u64,
    /// Accounts.
    pub account_count: u32,
    /// Payments.
    pub payment_count: u32,
    /// Slope of the popularity of payers and payees; 0 where all are as popular.
    pub exponent: f64,
    /// What is done between the accounts.
    pub pattern: Pattern,
    /// Signatures in a thousand that are wrong.
    pub invalid_permille: u16,
    /// Payments in a thousand that ask for more than any account holds.
    pub overdraft_permille: u16,
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            seed: 42,
            account_count: 1_000_000,
            payment_count: 1_000_000,
            exponent: 1.0,
            pattern: Pattern::Transfers,
            invalid_permille: 0,
            overdraft_permille: 5,
        }
    }
}

/// Opening balance of a generated account, 10,000,000.00: 200,000 ordinary payments, so that the
/// hottest payer of a million payments (7 in 100 of them) stays the hottest.
pub const OPENING_BALANCE: u64 = 1_000_000_000;
/// Largest ordinary generated amount: 100.00.
pub const AMOUNT_MAX: u64 = 10_000;
/// What an overdraft asks for: more than all generated money.
const OVERDRAFT_AMOUNT: u64 = 1 << 60;
/// What the hot debtor has: enough for all payments of any run.
const HOT_BALANCE: u64 = 1 << 50;
/// How often another payer is drawn when one has spent what it had.
const PAYER_DRAWS_MAX: usize = 8;

/// The account with this number, kept at bank `number` mod 32.
#[must_use]
pub fn account_of(number: u32) -> AccountId {
    AccountId::new(bank(number % BANK_COUNT), number)
}

impl Generator {
    /// The workload of this seed.
    ///
    /// Payers and payees are zipf-skewed, each by a shuffle of its own, so that hot payers are not
    /// hot payees. Balances are followed in generation order, so that nearly all payments settle in
    /// any order in which the streams are cleared.
    ///
    /// # Panics
    /// With fewer than two accounts.
    #[must_use]
    pub fn generate(&self) -> Workload {
        assert!(self.account_count >= 2, "a payment needs two accounts");
        let is_hot = |number| self.pattern == Pattern::HotDebtor && number == 0;
        let accounts: Vec<Opening> = (0..self.account_count)
            .map(|number| Opening {
                id: account_of(number),
                balance: if is_hot(number) {
                    HOT_BALANCE
                } else {
                    OPENING_BALANCE
                },
            })
            .collect();
        let mut random = Random::new(self.seed);
        let zipf = Zipf::new(self.account_count, self.exponent);
        let payers = Shuffle::new(self.account_count, &mut random);
        let payees = Shuffle::new(self.account_count, &mut random);
        let mut left: Vec<u64> = accounts.iter().map(|account| account.balance).collect();
        let mut payments = Vec::with_capacity(self.payment_count as usize);
        for number in 0..self.payment_count {
            let is_second = number % 2 == 1;
            let second = payments.last().filter(|_| is_second);
            if let Some(second) = second.and_then(|first| self.pattern.second(*first)) {
                payments.push(second);
                continue;
            }
            let overdraft = random.below(1000) < u64::from(self.overdraft_permille);
            let amount = 1 + random.below(AMOUNT_MAX);
            let mut debit = payers.place(zipf.sample(&mut random));
            for _ in 1..PAYER_DRAWS_MAX {
                if left[debit as usize] >= amount {
                    break;
                }
                debit = payers.place(zipf.sample(&mut random));
            }
            if is_hot(0) && !is_second {
                debit = 0;
            }
            let first = payments.last().filter(|_| is_second);
            if let (Some(first), Pattern::Linked) = (first, self.pattern) {
                // Those of a chain have one signer.
                debit = first.debit;
            }
            let mut credit = payees.place(zipf.sample(&mut random));
            while credit == debit {
                credit = payees.place(zipf.sample(&mut random));
            }
            let funded = left[debit as usize].checked_sub(amount);
            if let (Some(rest), false) = (funded, overdraft) {
                left[debit as usize] = rest;
                left[credit as usize] += amount;
            }
            payments.push(Payment {
                debit,
                credit,
                amount: if overdraft { OVERDRAFT_AMOUNT } else { amount },
            });
        }
        let skew = match self.exponent {
            0.0 => "uniform".to_owned(),
            exponent => format!("zipf{exponent}"),
        };
        let invalid = match self.invalid_permille {
            0 => String::new(),
            permille => format!(", {permille} in 1000 signatures wrong"),
        };
        Workload {
            name: format!("{}{skew}{invalid}", self.pattern.prefix()),
            accounts,
            payments,
            pattern: self.pattern,
            invalid_permille: self.invalid_permille,
            rows: None,
        }
    }
}

/// Spreads ranks over places: rank -> (rank * step + offset) mod count, with step prime to count.
struct Shuffle {
    count: u64,
    step: u64,
    offset: u64,
}

impl Shuffle {
    fn new(count: u32, random: &mut Random) -> Self {
        let count = u64::from(count);
        let mut step = 1 + random.below(count);
        while greatest_divisor(step, count) != 1 {
            step = 1 + random.below(count);
        }
        Self {
            count,
            step,
            offset: random.below(count),
        }
    }

    fn place(&self, rank: u32) -> u32 {
        let place = (u64::from(rank) * self.step + self.offset) % self.count;
        u32::try_from(place).expect("below a count of 32 bits")
    }
}

fn greatest_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_divisor(b, a % b)
    }
}

impl Workload {
    /// Hash of accounts and payments: two runs with equal hashes cleared the same work.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut out = Vec::with_capacity(self.accounts.len() * 16 + self.payments.len() * 16);
        for account in &self.accounts {
            out.u64(account.id.0);
            out.u64(account.balance);
        }
        for payment in &self.payments {
            out.u32(payment.debit);
            out.u32(payment.credit);
            out.u64(payment.amount);
        }
        // Nothing more for what a file can hold: its hash is the same as ever.
        if (self.pattern, self.invalid_permille) != (Pattern::Transfers, 0) {
            out.u32(self.pattern as u32);
            out.u32(u32::from(self.invalid_permille));
        }
        sha256(&[&out])
    }

    /// Who signs payment `index`: the owner of its debit side.
    #[must_use]
    pub fn signer(&self, payment: &Payment) -> ParticipantId {
        self.accounts[payment.debit as usize].id.owner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(seed: u64) -> Workload {
        Generator {
            seed,
            account_count: 1000,
            payment_count: 20_000,
            ..Generator::default()
        }
        .generate()
    }

    #[test]
    fn a_seed_gives_one_workload_and_another_seed_another() {
        assert_eq!(small(1).digest(), small(1).digest());
        assert_ne!(small(1).digest(), small(2).digest());
    }

    #[test]
    fn at_least_95_in_100_settle_in_order_and_the_rest_lacks_funds() {
        let workload = small(3);
        let mut left: Vec<u64> = workload.accounts.iter().map(|a| a.balance).collect();
        let mut settled = 0;
        for payment in &workload.payments {
            assert_ne!(payment.debit, payment.credit);
            assert!(payment.amount > 0);
            if let Some(rest) = left[payment.debit as usize].checked_sub(payment.amount) {
                left[payment.debit as usize] = rest;
                left[payment.credit as usize] += payment.amount;
                settled += 1;
            }
        }
        assert!(settled >= 19_000, "{settled} of 20000 settle");
        assert!(settled < 20_000, "some overdrafts are there");
    }

    #[test]
    fn payments_are_skewed_and_payers_are_not_the_payees() {
        let workload = small(4);
        let hottest = |side: fn(&Payment) -> u32| {
            let mut counts = vec![0; workload.accounts.len()];
            for payment in &workload.payments {
                counts[side(payment) as usize] += 1;
            }
            (0..counts.len())
                .max_by_key(|place| counts[*place])
                .map(|place| (place, counts[place]))
        };
        let (payer, paid) = hottest(|p| p.debit).expect("accounts");
        let (payee, _) = hottest(|p| p.credit).expect("accounts");
        assert_ne!(payer, payee);
        assert!(paid > 2000, "the hottest of 1000 pays {paid} of 20000");
    }

    #[test]
    fn seconds_follow_from_firsts_and_a_hot_debtor_pays_half() {
        let of = |pattern| {
            let generator = Generator {
                account_count: 1000,
                payment_count: 2001,
                exponent: 0.0,
                pattern,
                ..Generator::default()
            };
            generator.generate()
        };
        let holds = of(Pattern::Holds);
        assert!(
            holds
                .payments
                .chunks_exact(2)
                .all(|pair| pair[0] == pair[1])
        );
        let returns = of(Pattern::Returns);
        let is_back = |pair: &[Payment]| {
            (pair[0].debit, pair[0].credit, pair[0].amount)
                == (pair[1].credit, pair[1].debit, pair[1].amount)
        };
        assert!(returns.payments.chunks_exact(2).all(is_back));
        let hot = of(Pattern::HotDebtor);
        let paid = hot.payments.iter().filter(|payment| payment.debit == 0);
        assert!((1001..1100).contains(&paid.count()));
        let names = [holds.name, returns.name, of(Pattern::Transfers).name];
        assert_eq!(
            names,
            ["hold and post, uniform", "returns, uniform", "uniform"]
        );
        let linked = of(Pattern::Linked);
        let mut pairs = linked.payments.chunks_exact(2);
        assert!(pairs.all(|pair| pair[0].debit == pair[1].debit));
        let mut plain = of(Pattern::Transfers);
        plain.payments = linked.payments.clone();
        assert_ne!(plain.digest(), linked.digest());
    }

    #[test]
    fn a_shuffle_reaches_every_place_once() {
        for count in [2, 7, 1000, 1024] {
            let shuffle = Shuffle::new(count, &mut Random::new(9));
            let mut places: Vec<u32> = (0..count).map(|rank| shuffle.place(rank)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..count), "{count}");
        }
    }
}
