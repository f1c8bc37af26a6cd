"""Families of the transformers library, by tiny configurations with seeded weights.

Each factory gives the library's own module, so that its nested outputs, its masks and its checks
are those that users meet. Configurations that the library itself cannot build or call with these
inputs are not here.
"""

from __future__ import annotations

from typing import Any

import transformers as t
from torch import nn

from benchmarks.zoo.entry import entry

IDS, MASK = "input_ids:int64[batch,seq=12]", "attention_mask:int64[batch,seq]"
TARGET = "decoder_input_ids:int64[batch,target=6]"
FIXED = "pixel_values:float32[batch,3,32,32]"
FREE = "pixel_values:float32[batch,3,height=64,width=64]"
WAVE = "input_values:float32[batch,samples=1600]"

TEXT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}
DECODER = {**TEXT, "num_key_value_heads": 2, "use_cache": False}
"""Decoders of the newer kind, without a cache."""
PICTURE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 32,
    "patch_size": 8,
}


def made(model: str, config: str, **settings: Any) -> nn.Module:
    """The module of a configuration of the library, both by their names."""
    return getattr(t, model)(getattr(t, config)(**settings))


@entry(IDS, MASK)
def hf_bert() -> nn.Module:
    """BERT."""
    return made("BertModel", "BertConfig", **TEXT)


@entry(IDS, MASK)
def hf_roberta() -> nn.Module:
    """RoBERTa, which counts positions from its padding."""
    return made("RobertaForSequenceClassification", "RobertaConfig", **TEXT)


@entry(IDS, MASK)
def hf_distilbert() -> nn.Module:
    """DistilBERT."""
    return made(
        "DistilBertForTokenClassification",
        "DistilBertConfig",
        vocab_size=99,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=37,
        max_position_embeddings=64,
    )


@entry(IDS, MASK)
def hf_albert() -> nn.Module:
    """ALBERT, whose layers share their weights."""
    return made("AlbertModel", "AlbertConfig", embedding_size=16, **TEXT)


@entry(IDS, MASK)
def hf_electra() -> nn.Module:
    """ELECTRA's discriminator."""
    return made("ElectraForPreTraining", "ElectraConfig", embedding_size=16, **TEXT)


@entry(IDS, MASK)
def hf_deberta() -> nn.Module:
    """DeBERTa v2, with attention to relative positions."""
    return made(
        "DebertaV2Model",
        "DebertaV2Config",
        relative_attention=True,
        position_buckets=16,
        pos_att_type=["p2c", "c2p"],
        **TEXT,
    )


@entry(IDS, MASK)
def hf_deberta_v1() -> nn.Module:
    """DeBERTa, whose relative positions are as many as its table has rows."""
    return made(
        "DebertaModel",
        "DebertaConfig",
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        **TEXT,
    )


@entry(IDS, MASK)
def hf_mpnet() -> nn.Module:
    """MPNet."""
    return made("MPNetModel", "MPNetConfig", **TEXT)


@entry(IDS, MASK)
def hf_modernbert() -> nn.Module:
    """ModernBERT, with local and global attention."""
    return made(
        "ModernBertModel",
        "ModernBertConfig",
        local_attention=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
        **TEXT,
    )


@entry(IDS, MASK)
def hf_mobilebert() -> nn.Module:
    """MobileBERT."""
    return made(
        "MobileBertModel",
        "MobileBertConfig",
        embedding_size=16,
        true_hidden_size=16,
        intra_bottleneck_size=16,
        **TEXT,
    )


@entry(IDS, MASK)
def hf_squeezebert() -> nn.Module:
    """SqueezeBERT, of grouped convolutions."""
    return made(
        "SqueezeBertModel",
        "SqueezeBertConfig",
        embedding_size=32,
        **{**TEXT, "intermediate_size": 64},
    )


@entry(IDS, MASK)
def hf_convbert() -> nn.Module:
    """ConvBERT, with spans of dynamic convolutions."""
    return made("ConvBertModel", "ConvBertConfig", embedding_size=32, conv_kernel_size=3, **TEXT)


@entry(IDS)
def hf_fnet() -> nn.Module:
    """FNet."""
    return made("FNetModel", "FNetConfig", use_tpu_fourier_optimizations=False, **TEXT)


@entry(IDS, MASK)
def hf_funnel() -> nn.Module:
    """Funnel, which shortens the sequence and widens it again."""
    return made(
        "FunnelModel",
        "FunnelConfig",
        vocab_size=99,
        block_sizes=[1, 1],
        d_model=32,
        num_decoder_layers=1,
        n_head=4,
        d_head=8,
        d_inner=37,
    )


@entry(IDS, MASK)
def hf_xlnet() -> nn.Module:
    """XLNet."""
    return made(
        "XLNetModel",
        "XLNetConfig",
        vocab_size=99,
        d_model=32,
        n_layer=2,
        n_head=4,
        d_inner=37,
        use_mems_eval=False,
    )


@entry("input_ids:int64[batch,seq=64]", MASK)
def hf_longformer() -> nn.Module:
    """Longformer, by windows."""
    return made("LongformerModel", "LongformerConfig", attention_window=8, pad_token_id=1, **TEXT)


@entry(IDS, MASK)
def hf_nystromformer() -> nn.Module:
    """Nystromformer."""
    return made(
        "NystromformerModel",
        "NystromformerConfig",
        num_landmarks=4,
        segment_means_seq_len=4,
        **TEXT,
    )


@entry(IDS, MASK)
def hf_gpt2() -> nn.Module:
    """GPT-2 with its head and its cache among the outputs."""
    return made(
        "GPT2LMHeadModel",
        "GPT2Config",
        vocab_size=99,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
    )


@entry(IDS, MASK)
def hf_gpt_neo() -> nn.Module:
    """GPT-Neo, with local and global attention."""
    return made(
        "GPTNeoForCausalLM",
        "GPTNeoConfig",
        vocab_size=99,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
        max_position_embeddings=64,
        use_cache=False,
    )


@entry(IDS, MASK)
def hf_gpt_neox() -> nn.Module:
    """GPT-NeoX."""
    return made("GPTNeoXForCausalLM", "GPTNeoXConfig", use_cache=False, **TEXT)


@entry(IDS, MASK)
def hf_opt() -> nn.Module:
    """OPT."""
    return made(
        "OPTForCausalLM",
        "OPTConfig",
        vocab_size=99,
        hidden_size=32,
        ffn_dim=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        word_embed_proj_dim=32,
        use_cache=False,
    )


@entry(IDS, MASK)
def hf_bloom() -> nn.Module:
    """BLOOM, with linear biases."""
    return made(
        "BloomForCausalLM",
        "BloomConfig",
        vocab_size=99,
        hidden_size=32,
        n_layer=2,
        n_head=4,
        use_cache=False,
    )


@entry(IDS, MASK)
def hf_falcon() -> nn.Module:
    """Falcon, with one group of keys."""
    return made(
        "FalconForCausalLM",
        "FalconConfig",
        vocab_size=99,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        use_cache=False,
    )


@entry(IDS, MASK)
def hf_mpt() -> nn.Module:
    """MPT."""
    return made(
        "MptForCausalLM",
        "MptConfig",
        vocab_size=99,
        d_model=32,
        n_layers=2,
        n_heads=4,
        max_seq_len=64,
        use_cache=False,
    )


@entry(IDS, MASK)
def hf_llama() -> nn.Module:
    """Llama with its cache among the outputs."""
    return made("LlamaForCausalLM", "LlamaConfig", **{**DECODER, "use_cache": True})


@entry(IDS, MASK)
def hf_mistral() -> nn.Module:
    """Mistral, with a sliding window."""
    return made("MistralForCausalLM", "MistralConfig", sliding_window=5, **DECODER)


@entry(IDS, MASK)
def hf_mixtral() -> nn.Module:
    """Mixtral, a mixture of experts."""
    return made(
        "MixtralForCausalLM",
        "MixtralConfig",
        num_local_experts=4,
        **{**DECODER, "intermediate_size": 40},
    )


@entry(IDS, MASK)
def hf_qwen2() -> nn.Module:
    """Qwen2."""
    return made("Qwen2ForCausalLM", "Qwen2Config", **DECODER)


@entry(IDS, MASK)
def hf_qwen3() -> nn.Module:
    """Qwen3."""
    return made("Qwen3ForCausalLM", "Qwen3Config", head_dim=8, **DECODER)


@entry(IDS, MASK)
def hf_gemma() -> nn.Module:
    """Gemma."""
    return made("GemmaForCausalLM", "GemmaConfig", head_dim=8, **DECODER)


@entry(IDS, MASK)
def hf_gemma2() -> nn.Module:
    """Gemma 2, with capped scores and windows."""
    return made("Gemma2ForCausalLM", "Gemma2Config", head_dim=8, sliding_window=5, **DECODER)


@entry(IDS, MASK)
def hf_phi() -> nn.Module:
    """Phi, which rotates a part of each head."""
    return made("PhiForCausalLM", "PhiConfig", **DECODER)


@entry(IDS, MASK)
def hf_stablelm() -> nn.Module:
    """StableLM."""
    return made("StableLmForCausalLM", "StableLmConfig", **DECODER)


@entry(IDS, MASK)
def hf_olmo2() -> nn.Module:
    """OLMo 2."""
    return made("Olmo2ForCausalLM", "Olmo2Config", pad_token_id=0, **DECODER)


@entry(IDS, MASK)
def hf_granite() -> nn.Module:
    """Granite."""
    return made("GraniteForCausalLM", "GraniteConfig", **DECODER)


@entry("input_ids:int64[batch,seq=12]")
def hf_mamba() -> nn.Module:
    """Mamba, by its slow path."""
    return made(
        "MambaForCausalLM",
        "MambaConfig",
        vocab_size=99,
        hidden_size=32,
        state_size=4,
        num_hidden_layers=2,
        use_cache=False,
    )


@entry(IDS, MASK, TARGET)
def hf_t5() -> nn.Module:
    """T5, encoder and decoder."""
    return made(
        "T5ForConditionalGeneration",
        "T5Config",
        vocab_size=99,
        d_model=32,
        d_kv=8,
        d_ff=37,
        num_layers=2,
        num_heads=4,
        use_cache=False,
    )


@entry(IDS, MASK, TARGET)
def hf_bart() -> nn.Module:
    """BART, encoder and decoder."""
    return made(
        "BartForConditionalGeneration",
        "BartConfig",
        vocab_size=99,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        max_position_embeddings=64,
        use_cache=False,
    )


@entry(IDS, MASK, TARGET)
def hf_marian() -> nn.Module:
    """Marian, encoder and decoder."""
    return made(
        "MarianMTModel",
        "MarianConfig",
        vocab_size=99,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        max_position_embeddings=64,
        pad_token_id=98,
        use_cache=False,
    )


@entry(FIXED)
def hf_vit() -> nn.Module:
    """ViT."""
    return made("ViTForImageClassification", "ViTConfig", **PICTURE)


@entry(FIXED)
def hf_deit() -> nn.Module:
    """DeiT."""
    return made("DeiTModel", "DeiTConfig", **PICTURE)


@entry(FIXED)
def hf_beit() -> nn.Module:
    """BEiT, with relative positions."""
    return made("BeitModel", "BeitConfig", use_relative_position_bias=True, **PICTURE)


@entry(FREE)
def hf_dinov2() -> nn.Module:
    """DINOv2, whose positions are resized to the picture."""
    return made("Dinov2Model", "Dinov2Config", **PICTURE)


@entry("pixel_values:float32[batch,3,height=32*k=64..,width=32*k=64..]")
def hf_swin() -> nn.Module:
    """Swin, by windows that shift."""
    return made(
        "SwinModel",
        "SwinConfig",
        image_size=64,
        patch_size=4,
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
    )


@entry(FREE)
def hf_segformer() -> nn.Module:
    """SegFormer."""
    return made(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=16,
    )


@entry("pixel_values:float32[batch,3,height=64,width=64]")
def hf_yolos() -> nn.Module:
    """YOLOS."""
    return made(
        "YolosForObjectDetection",
        "YolosConfig",
        image_size=[64, 64],
        num_detection_tokens=5,
        **{k: v for k, v in PICTURE.items() if k != "image_size"},
    )


@entry(FREE)
def hf_resnet() -> nn.Module:
    """ResNet."""
    return made(
        "ResNetForImageClassification",
        "ResNetConfig",
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
    )


@entry(FREE)
def hf_convnext() -> nn.Module:
    """ConvNeXt."""
    return made(
        "ConvNextModel", "ConvNextConfig", hidden_sizes=[8, 16], depths=[1, 1], num_stages=2
    )


@entry(FREE)
def hf_mobilenet() -> nn.Module:
    """MobileNetV2 at a depth of 0.35."""
    return made("MobileNetV2Model", "MobileNetV2Config", depth_multiplier=0.35)


@entry(FREE)
def hf_mobilevit() -> nn.Module:
    """MobileViT, which unfolds a picture into patches."""
    return made(
        "MobileViTModel",
        "MobileViTConfig",
        image_size=64,
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32],
        num_attention_heads=4,
    )


@entry(FREE)
def hf_regnet() -> nn.Module:
    """RegNet."""
    return made(
        "RegNetModel",
        "RegNetConfig",
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        groups_width=4,
    )


@entry(FREE)
def hf_poolformer() -> nn.Module:
    """PoolFormer."""
    return made(
        "PoolFormerModel", "PoolFormerConfig", hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1]
    )


@entry(FREE)
def hf_pvt() -> nn.Module:
    """PVT v2."""
    return made(
        "PvtV2Model",
        "PvtV2Config",
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
    )


@entry(IDS, MASK, FIXED)
def hf_clip() -> nn.Module:
    """CLIP, text and picture."""
    parts = {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 64,
        "eos_token_id": 98,
    }
    return made(
        "CLIPModel", "CLIPConfig", text_config=parts, vision_config=PICTURE, projection_dim=16
    )


@entry(IDS, MASK, FIXED)
def hf_siglip() -> nn.Module:
    """SigLIP, text and picture."""
    return made("SiglipModel", "SiglipConfig", text_config=TEXT, vision_config=PICTURE)


@entry(WAVE)
def hf_wav2vec2() -> nn.Module:
    """wav2vec 2.0."""
    return made(
        "Wav2Vec2ForCTC",
        "Wav2Vec2Config",
        vocab_size=30,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        conv_dim=(16, 16),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )


@entry(WAVE)
def hf_hubert() -> nn.Module:
    """HuBERT."""
    return made(
        "HubertModel",
        "HubertConfig",
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        conv_dim=(16, 16),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )


@entry("input_features:float32[batch,16,60]", "decoder_input_ids:int64[batch,target=6]")
def hf_whisper() -> nn.Module:
    """Whisper."""
    return made(
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        vocab_size=99,
        num_mel_bins=16,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        max_source_positions=30,
        max_target_positions=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        use_cache=False,
    )


@entry("input_values:float32[batch,40,16]")
def hf_spectrogram_transformer() -> nn.Module:
    """The audio spectrogram transformer."""
    return made(
        "ASTModel",
        "ASTConfig",
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        max_length=40,
        num_mel_bins=16,
        patch_size=8,
        frequency_stride=8,
        time_stride=8,
    )


@entry("past_values:float32[batch,32,3]")
def hf_patchtst() -> nn.Module:
    """PatchTST, which forecasts."""
    return made(
        "PatchTSTForPrediction",
        "PatchTSTConfig",
        num_input_channels=3,
        context_length=32,
        patch_length=8,
        patch_stride=8,
        d_model=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=16,
        prediction_length=4,
        loss="mse",
        share_projection=True,
    )


@entry("pixel_values:float32[batch,3,height=64,width=64]")
def hf_detr() -> nn.Module:
    """DETR on a small ResNet."""
    backbone = t.ResNetConfig(  # type: ignore[call-arg]
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"]
    )
    return made(
        "DetrForObjectDetection",
        "DetrConfig",
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        num_queries=5,
    )


@entry(FREE)
def hf_depth_anything() -> nn.Module:
    """DPT, which tells depths, on a small ViT."""
    return made(
        "DPTForDepthEstimation",
        "DPTConfig",
        is_hybrid=False,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        readout_type="project",
        reassemble_factors=[4, 2, 1, 0.5],
        **{**PICTURE, "num_hidden_layers": 4, "image_size": 64, "patch_size": 16},
    )


@entry("input_ids:int64[batch,seq=12]")
def hf_mamba2() -> nn.Module:
    """Mamba 2 by its slow path, which pads a sequence to whole chunks."""
    return made(
        "Mamba2ForCausalLM",
        "Mamba2Config",
        vocab_size=99,
        hidden_size=32,
        state_size=8,
        num_heads=8,
        head_dim=8,
        n_groups=2,
        num_hidden_layers=2,
        chunk_size=4,
        use_cache=False,
    )


@entry(IDS, MASK)
def hf_qwen3_moe() -> nn.Module:
    """Qwen3's mixture of experts."""
    return made(
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=24,
        head_dim=8,
        **{**DECODER, "intermediate_size": 40},
    )


@entry("input_features:float32[batch,frames=40,16]", TARGET)
def hf_speech_to_text() -> nn.Module:
    """Speech2Text, whose positions are of four frames each."""
    return made(
        "Speech2TextForConditionalGeneration",
        "Speech2TextConfig",
        vocab_size=99,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        max_source_positions=100,
        max_target_positions=64,
        input_feat_per_channel=16,
        conv_channels=32,
        use_cache=False,
    )
