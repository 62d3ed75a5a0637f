// Compiles only where abi.h lays out memory as the library's own headers do. -I names the directory above openh264/.

#include <stddef.h>

#include <openh264/codec_api.h>
#include "../abi.h"

#define SAME_SIZE(ours, theirs) _Static_assert(sizeof(ours) == sizeof(theirs), "size of " #theirs)
#define SAME_PLACE(ours, a, theirs, b) \
	_Static_assert(offsetof(ours, a) == offsetof(theirs, b), "place of " #theirs "." #b); \
	_Static_assert(sizeof(((ours *)0)->a) == sizeof(((theirs *)0)->b), "size of " #theirs "." #b)
#define SAME_VALUE(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), "value of " #theirs)

SAME_SIZE(abi_params, SEncParamExt);
SAME_PLACE(abi_params, usage, SEncParamExt, iUsageType);
SAME_PLACE(abi_params, bitrate, SEncParamExt, iTargetBitrate);
SAME_PLACE(abi_params, rc_mode, SEncParamExt, iRCMode);
SAME_PLACE(abi_params, max_rate, SEncParamExt, fMaxFrameRate);
SAME_PLACE(abi_params, temporal_layers, SEncParamExt, iTemporalLayerNum);
SAME_PLACE(abi_params, spatial_layers, SEncParamExt, iSpatialLayerNum);
SAME_PLACE(abi_params, layers, SEncParamExt, sSpatialLayers);
SAME_PLACE(abi_params, intra_period, SEncParamExt, uiIntraPeriod);
SAME_PLACE(abi_params, id_strategy, SEncParamExt, eSpsPpsIdStrategy);
SAME_PLACE(abi_params, cabac, SEncParamExt, iEntropyCodingModeFlag);
SAME_PLACE(abi_params, frame_skip, SEncParamExt, bEnableFrameSkip);
SAME_PLACE(abi_params, max_bitrate, SEncParamExt, iMaxBitrate);
SAME_PLACE(abi_params, max_qp, SEncParamExt, iMaxQp);
SAME_PLACE(abi_params, threads, SEncParamExt, iMultipleThreadIdc);
SAME_PLACE(abi_params, scene_change, SEncParamExt, bEnableSceneChangeDetect);
SAME_PLACE(abi_params, lossless_link, SEncParamExt, bIsLosslessLink);

SAME_SIZE(abi_layer, SSpatialLayerConfig);
SAME_PLACE(abi_layer, rate, SSpatialLayerConfig, fFrameRate);
SAME_PLACE(abi_layer, bitrate, SSpatialLayerConfig, iSpatialBitrate);
SAME_PLACE(abi_layer, slices, SSpatialLayerConfig, sSliceArgument);
SAME_PLACE(abi_layer, has_signal_type, SSpatialLayerConfig, bVideoSignalTypePresent);
SAME_PLACE(abi_layer, video_format, SSpatialLayerConfig, uiVideoFormat);
SAME_PLACE(abi_layer, full_range, SSpatialLayerConfig, bFullRange);
SAME_PLACE(abi_layer, has_colour_description, SSpatialLayerConfig, bColorDescriptionPresent);
SAME_PLACE(abi_layer, primaries, SSpatialLayerConfig, uiColorPrimaries);
SAME_PLACE(abi_layer, transfer, SSpatialLayerConfig, uiTransferCharacteristics);
SAME_PLACE(abi_layer, matrix, SSpatialLayerConfig, uiColorMatrix);
SAME_SIZE(abi_slices, SSliceArgument);
SAME_PLACE(abi_slices, mode, SSliceArgument, uiSliceMode);
SAME_PLACE(abi_slices, count, SSliceArgument, uiSliceNum);

SAME_SIZE(abi_frame_info, SFrameBSInfo);
SAME_PLACE(abi_frame_info, layer_count, SFrameBSInfo, iLayerNum);
SAME_PLACE(abi_frame_info, layers, SFrameBSInfo, sLayerInfo);
SAME_PLACE(abi_frame_info, frame_type, SFrameBSInfo, eFrameType);
SAME_SIZE(abi_layer_info, SLayerBSInfo);
SAME_PLACE(abi_layer_info, nal_count, SLayerBSInfo, iNalCount);
SAME_PLACE(abi_layer_info, nal_sizes, SLayerBSInfo, pNalLengthInByte);
SAME_PLACE(abi_layer_info, data, SLayerBSInfo, pBsBuf);

SAME_SIZE(abi_picture, SSourcePicture);
SAME_PLACE(abi_picture, format, SSourcePicture, iColorFormat);
SAME_PLACE(abi_picture, stride, SSourcePicture, iStride);
SAME_PLACE(abi_picture, planes, SSourcePicture, pData);
SAME_PLACE(abi_picture, width, SSourcePicture, iPicWidth);
SAME_PLACE(abi_picture, height, SSourcePicture, iPicHeight);
SAME_PLACE(abi_picture, timestamp, SSourcePicture, uiTimeStamp);
SAME_SIZE(abi_bitrate, SBitrateInfo);
SAME_PLACE(abi_bitrate, bitrate, SBitrateInfo, iBitrate);

SAME_SIZE(abi_functions, ISVCEncoderVtbl);
SAME_PLACE(abi_functions, initialize_ext, ISVCEncoderVtbl, InitializeExt);
SAME_PLACE(abi_functions, default_params, ISVCEncoderVtbl, GetDefaultParams);
SAME_PLACE(abi_functions, uninitialize, ISVCEncoderVtbl, Uninitialize);
SAME_PLACE(abi_functions, encode, ISVCEncoderVtbl, EncodeFrame);
SAME_PLACE(abi_functions, force_intra, ISVCEncoderVtbl, ForceIntraFrame);
SAME_PLACE(abi_functions, set_option, ISVCEncoderVtbl, SetOption);

SAME_VALUE(ABI_ALL_LAYERS, SPATIAL_LAYER_ALL);
SAME_VALUE(ABI_CAMERA_REAL_TIME, CAMERA_VIDEO_REAL_TIME);
SAME_VALUE(ABI_RC_BITRATE, RC_BITRATE_MODE);
SAME_VALUE(ABI_SINGLE_SLICE, SM_SINGLE_SLICE);
SAME_VALUE(ABI_CONSTANT_ID, CONSTANT_ID);
SAME_VALUE(ABI_LOG_QUIET, WELS_LOG_QUIET);
SAME_VALUE(ABI_I420, videoFormatI420);
SAME_VALUE(ABI_FRAME_IDR, videoFrameTypeIDR);
SAME_VALUE(ABI_OPTION_BITRATE, ENCODER_OPTION_BITRATE);
SAME_VALUE(ABI_OPTION_TRACE_LEVEL, ENCODER_OPTION_TRACE_LEVEL);
