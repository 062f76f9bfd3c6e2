"""Loaders, on a few made lines in the form of each set; and on the real files where they are."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from simulation.evaluate.data_files import DATA_SETS, read
from surgecast.errors import ConfigError

REAL = Path(__file__).resolve().parents[5] / "shared" / "data"
CONFIGS = (
    "config,cabac,ref,deblock,analyse,me,subme,mixed_ref,me_range,trellis,8x8dct,fast_pskip,"
    "chroma_qp_offset,bframes,b_pyramid,b_adapt,direct,weightb,open_gop,weightp,scenecut,"
    "rc_lookahead,mbtree,qpmax,aq-mode\n"
    "1,0,1,0:0:0,0:0,dia,0,0,16,0,0,1,0,0,,,,,,0,0.0,,0,69,0\n"
    "2,1,1,1:0:0,0x3:0x3,hex,1,0,16,0,1,1,0,3,2.0,1.0,auto,1.0,0.0,1,40.0,,0,69,1\n"
)
UCI = (
    "id\tduration\tcodec\twidth\theight\tbitrate\tframerate\to_codec\to_bitrate\to_framerate"
    "\to_width\to_height\tumem\tutime\n"
    "a\t10\th264\t1280\t720\t1000000\t25\tvp8\t500000\t25\t640\t360\t22508\t5.0\n"
    "b\t10\tmpeg4\t1280\t720\t1000000\t25\tvp8\t500000\t25\t640\t360\t22508\t0\n"
)


@pytest.fixture
def folder(tmp_path) -> Path:
    ugc = tmp_path / "x264_ugc_cost"
    ugc.mkdir()
    (ugc / "configs.csv").write_text(CONFIGS)
    packed(ugc / "videos.csv.gz",
        "video,width,height,spatial_complexity,temporal_complexity,chunk_complexity_variation,"
        "color_complexity,input_size_bytes,category\n"
        "v,1920,1080,0.1,0.2,0.3,0.4,1000000,Vlog\nw,640,360,0.1,0.2,0.3,0.4,,VR\n")  # fmt: skip
    packed(ugc / "measurements.csv.gz",
        "video,config,frames,cpu_s,wall_s,cpu_pct,fps,kbps,size_bytes\n"
        "v,1,600,10,2,434,375,161,403085\nv,2,600,20,2,489,302,109,302\nw,1,300,0,0,0,0,0,0\n"
        "w,2,300,5,1,1,1,1,1\n")  # fmt: skip
    machines = tmp_path / "x264_machines"
    machines.mkdir()
    (machines / "machines.csv").write_text(
        "machine,site,cluster,cpu,logical_cpus,sockets,cores_per_socket,threads_per_core,max_mhz,"
        "l3,model_name\n1,G,d,Intel Xeon Gold 6130,64,2,16,2,3700.0,22528K,Xeon @ 2.10GHz\n"
        "2,G,t,AMD EPYC 7351,64,2,16,2,,8192K,AMD EPYC 7351\n")  # fmt: skip
    packed(
        machines / "measurements.csv.gz",
        "machine,video,config,wall_s,fps,kbps,size_bytes\n1,v,1,0.8,1,1,1\n2,v,1,1.6,1,1,1\n",
    )
    vms = tmp_path / "hls_segment_vm_times"
    vms.mkdir()
    packed(vms / "vm_times.csv.gz",
        "vm,video,segment,duration_s,bitrate_kbps,size_kb,out_codec,out_height,out_fps,runs,"
        "mean_s,sd_s,min_s,max_s,suspect\n"
        "AWS-c52xlarge,1,26,2,5485,1340,hevc,360,24,10,1.1,0.1,1,1.3,0\n"
        "CC-large,1,26,2,5485,1340,h264,360,24,10,0.03,0.1,1,1.3,1\n")  # fmt: skip
    uci = tmp_path / "uci_transcoding_sample"
    uci.mkdir()
    for name in ("first_999_rows.csv", "other_rows_49.csv"):
        (uci / name).write_text(UCI.replace("\t", ","))
    (tmp_path / "whole.tsv").write_text(UCI)
    return tmp_path


def packed(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


def column(data, name: str) -> list[float]:
    return data.table.rows[:, data.table.names.index(name)].tolist()


def test_cores_for_real_time_are_read_with_content_and_options(folder):
    data = read("x264_ugc_cost", folder)
    assert data.table.values.tolist() == [0.5, 1.0, 0.5]  # one row without a time is left out
    assert data.groups["video"].tolist() == [0, 0, 1]
    assert column(data, "me") == [0.0, 1.0, 1.0]
    assert column(data, "category_Vlog") == [1.0, 1.0, 0.0]
    assert np.isnan(column(data, "input_bytes_log2")[2])  # its size is not known
    assert "1 rows without a time" in data.notes


def test_machines_are_read_with_their_specs_and_the_encode(folder):
    data = read("x264_machines", folder)
    assert data.table.values.tolist() == [0.8, 1.6]
    assert data.usual == "machine" and set(data.ways) >= {"video", "machine_model", "random"}
    assert column(data, "year") == [2017.0, 2017.0] and column(data, "amd") == [0.0, 1.0]
    assert column(data, "video_0") == [1.0, 1.0]


def test_suspect_rows_are_left_out_and_counted(folder):
    data = read("hls_segment_vm_times", folder)
    assert data.table.values.tolist() == [0.55]
    assert data.notes[0].startswith("1 suspect")


def test_no_outcome_is_a_feature(folder):
    for name in DATA_SETS:
        outcomes = {"umem", "utime", "kbps", "size_bytes", "wall_s", "fps", "cpu_pct"}
        assert not outcomes & set(read(name, folder).table.names)


def test_the_whole_file_of_uci_is_taken_too(folder):
    sample = read("uci_transcoding_sample", folder)
    whole = read("uci_transcoding_sample", folder, folder / "whole.tsv")
    assert whole.table.values.tolist() == [0.5]
    assert len(sample.table) == 2 and sample.table.names == whole.table.names


def test_what_cannot_be_used_is_said_in_words(folder):
    with pytest.raises(ConfigError, match="allowed: x264_ugc_cost"):
        read("mine", folder)
    with pytest.raises(ConfigError, match="no such folder"):
        read("x264_machines", folder / "nowhere")
    with pytest.raises(ConfigError, match="several files"):
        read("x264_machines", folder, folder / "whole.tsv")
    (folder / "whole.tsv").write_text("id\tduration\na\tlong\n")
    with pytest.raises(ConfigError, match="not the data set uci"):
        read("uci_transcoding_sample", folder, folder / "whole.tsv")
    (folder / "x264_ugc_cost" / "videos.csv.gz").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match=r"videos|x264_ugc_cost"):
        read("x264_ugc_cost", folder)


@pytest.mark.skipif(not REAL.is_dir(), reason="no data sets beside the repository")
def test_the_real_files_are_read():
    machines = read("x264_machines", REAL)
    assert len(machines.table) == 48_240 and len(np.unique(machines.groups["machine"])) == 30
    assert len(read("hls_segment_vm_times", REAL).table) > 3_000
    assert len(read("uci_transcoding_sample", REAL).table) == 1_048
