"""Stage ``prepare``: raw pairs -> cleaned splits, a data report and the tokenizer."""

from collections.abc import Iterator
from pathlib import Path

from goa.data.corpus import Corpus, open_split
from goa.data.preparation import prepare_corpus
from goa.data.readers.reader import estimate_size
from goa.data.settings import DataSettings
from goa.policies.settings import PolicySettings
from goa.policies.tokenizer import build_tokenizer
from goa.settings import read_sections
from pipelines.stage import PARAMS, open_stage


def main() -> None:
    """Prepare the corpus that params.yaml names."""
    with open_stage("prepare") as stage:
        sections = read_sections(PARAMS, seed=int, data=DataSettings, policy=PolicySettings)
        data: DataSettings = sections.data
        with stage.output(Path("out/data")) as folder:
            with stage.progress.task("prepare", estimate_size(data), "examples") as task:
                census = prepare_corpus(data, sections.seed, folder, task.advance)
            with stage.output(Path("out/tokenizer")) as tokenizer_folder:
                texts = _texts(open_split(folder, "train"))
                build_tokenizer(texts, sections.policy).save_pretrained(tokenizer_folder)
        stage.metrics(Path("metrics/prepare.json"), census.summary())


def _texts(corpus: Corpus) -> Iterator[str]:
    for example in corpus:
        yield example.source
        yield from example.references


if __name__ == "__main__":
    main()
