"""The numbers in the templates that do not come from runs: for each page, patterns, and where they come from.

No pattern is needed for what is in code spans, links, headings and `Run:` paragraphs (the settings), and in the first
cell of a claim's row (the paper's words).
"""

SIZE = r"[\d,]*\d"  # a number of cases
GIVEN = {
    "all": {
        r"\b[HNADS]\d+\b": "names of claims",
        r"\b([Ff]igures?|section|tutorial|Algorithm) \d+(\.\d)?((, \d)* and \d)?": "places in a paper or a tutorial",
        r"CIFAR-100?\b|ResNet-8|float(32|64)|TensorFlow 1\b": "names",
        rf"\b(batch|batches)( size)? {SIZE}(, {SIZE})*( (and|to) {SIZE})?(?![.\d])": "a batch that the runs have",
        r"\b[Ss]eed [01]\b|\b[235] seeds\b": "seeds that the runs have",
        r"\brate (0\.\d+|1)\b": "a rate that the runs have",
    },
    "he_2016": {
        r"defaults were 250, of Martens 2010": "Martens 2010, section 4.4",
        r"first lambda stays 0\.1|at least 200 of": "defaults",
        r"below 0 \(the claim": "not a number of a run",
        r"60,000 digits|[Aa]t 60,000|30 passes|10 %|; to 4 %|after 15\b|bring them to 1 %|at 2 %": (
            "settings of fig_all_digits.py"
        ),
        r"than these 10,000 digits|A batch above 8,192|at most; between": "settings of fig_batch_robustness.py",
        r"grows by 10 %": "its criterion, named before the runs",
        r"SGD's 1,024|60,000 cases|cases of 10,000 is 0\.8": "settings, and their ratio",
        r"alpha = 1/2|noise 0\.1; 1e-7": "settings of the saddle's runs",
        r"\(x, 0\)|(delta_0)? of norm 0\.1": "settings",
        r"1/eps|1 \+ alpha|1/sqrt 5|log 2|H\^2|y = 0|g = 0|norm 1|distance 1": "arithmetic",
        r"(passes;?|takes SGD|stall at|to|above) [125] %": "a training error that is a target",
        r"at 0\.03|after 80\b|for 20 passes|after 21 passes|after 15 epochs|After 150 products": "where a run is read",
        r"log2\(N\) = 4|d_0 d_i|2 L - 1|b \(2 sum|P \+ 3|8 ranks; 10 outputs|over 16": "arithmetic",
        r"([Aa]t|from|with|on|to|and|than at|B =|of|predicts|mini-batch of|evaluations on 512,|; for|\() "
        r"?(512|1,024|2,048|4,096|8,192)(?![.\d])": "a mini-batch that the runs have",
        r"512, 2,048|###, 2,048": "the same",
        r"2,048 cases|15 rounds|784-400-150-10|360-512-512-512-1973": "settings of H6",
        r"spend 20 products|layers of 50|20 steps": "settings of Figure 4's runs",
        r"\b(1|2|16|64) ranks\b|ranks of 2|those of 1|, on 64,|beyond some 16|for 256": "ranks of runs or predictions",
        r"their 95 % intervals": "the level of figures/protocol.md",
        r"within 15 %": "the bound that tests/test_cost_model.py holds",
        r"batches of 128|10 Gbit/s|50 us|file of 4 GB": "settings of Figure 5",
    },
    "adya_2018": {
        r"60,000 cases": "a setting of Figure 1",
        r"all 60,000 digits|batch 16,384|2,500 digits|and 2,500\)|\(16,384\)": "settings of fig_adya_ablation.py",
        r"search below 2,048": "the claim's",
        r"([Aa]t|from|to|and|\() ?(128|512|2,048|10,000)\b": "a batch that the runs have",
        r", 128\)": "the same",
        r"(after|and) (20, 40 and 80|20|80) epochs|20 steps": "lengths of the runs",
        r"after 30( and after 90 epochs)?|After 90 epochs": "lengths of the residual network's runs",
        r"P = 400,150|ln 10": "settings of benchmarks/nlcg_step.py; ten classes",
        r"rates up to 1\.6": "0.1/256 times 4,096",
        r"95 % interval": "the level of figures/protocol.md",
        r"width 8|for 10 passes over 5,120 cases": "settings of fig_resnet_convnet.py",
    },
    "arnold_wang": {
        r"number of 5 runs|median of 100 steps|after 40 steps": "settings",
        r"[Aa]t (0\.0003|0\.01|0\.1)(?!\d)": "a rate that the runs have",
        r"on 5,120 cases": "a setting",
        r"50 epochs|for\s14 x 14 pixels": "settings of the long runs",
        r"M = [248]|M - 1|1/lambda_max|H\^-1|2MP|2P|4P": "numbers of replicas, and formulas",
    },
    "dauphin_2014": {
        r"from 0\.5 down|down to loss 1\.2": "where the run is read",
        r"10 probes of 80 steps": "settings",
    },
    "sutskever_2013": {
        r"on curves, 0\.05|at 0\.0[25]\b": "rates of the trials",
        r"30 passes over 10,000 digits": "a setting of the trials",
    },
    "README": {
        r"\| [^|]*(?= \| (confirmed|refuted|not yet|, seeds))": "the audit's words",
        r"epsilon, 1 in|in part at 128|can exclude 0": "the published code's; a batch; not a number of a run",
        r"of 11,700 steps|above the 68 that": "the paper's; a budget",
    },
}
